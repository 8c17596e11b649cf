// All kernels, as one program: compiled by NVRTC at run time, and as C++ by emulate.cpp for tests on a CPU.
#include "common.cu"

#include "epilogue.cu"
#include "flat.cu"
#include "project.cu"
#include "resample.cu"
