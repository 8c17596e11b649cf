//! segmentation (being written).
