//! `run.json`: what made an output, beside the output.

use std::fs;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::args::Common;
use crate::error::DataError;
use crate::plate::digest::Digest;

/// Collects what `run.json` holds, from the start of a run to its end.
#[derive(Debug)]
pub struct Record {
    program: String,
    started: Instant,
    started_unix_s: u64,
    inputs: Map<String, Value>,
    common: Common,
}

impl Record {
    /// Starts the clock.
    pub fn begin(program: &str, common: &Common) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Self {
            program: program.to_owned(),
            started: Instant::now(),
            started_unix_s: now,
            inputs: Map::new(),
            common: common.clone(),
        }
    }

    /// Adds the digest of an input file, or of all files in an input folder.
    pub fn input(&mut self, name: &str, path: &Path) -> Result<(), DataError> {
        let Digest { sha256, files, .. } = Digest::of(path)?;
        self.inputs.insert(name.to_owned(), json!({ "path": path, "sha256": sha256, "files": files }));
        Ok(())
    }

    /// Returns the digest of an input that was added under this name; nothing where none was.
    pub fn sha256(&self, name: &str) -> String {
        let found = self.inputs.get(name).and_then(|input| input["sha256"].as_str());
        found.unwrap_or_default().to_owned()
    }

    /// Returns the record as JSON.
    pub fn to_json(&self, config: &impl Serialize, device: &str, result: &Value) -> Value {
        json!({
            "program": self.program,
            "version": env!("CARGO_PKG_VERSION"),
            "command_line": command_line(),
            "config": config,
            "seed": self.common.seed,
            "threads": self.common.thread_count(),
            "device": device,
            "inputs": self.inputs,
            "started_unix_s": self.started_unix_s,
            "wall_s": self.started.elapsed().as_secs_f64(),
            "peak_memory_mib": peak_memory_mib(),
            "result": result,
        })
    }

    /// Writes `run.json` into `folder`, whole or not at all.
    pub fn write(
        &self,
        folder: &Path,
        config: &impl Serialize,
        device: &str,
        result: &Value,
    ) -> Result<(), DataError> {
        let text = format!("{:#}\n", self.to_json(config, device, result));
        crate::output::write_file(&folder.join("run.json"), text.as_bytes())
    }
}

fn command_line() -> Vec<String> {
    std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect()
}

/// Returns the largest resident size of this process so far, in MiB; 0 where the system does not tell.
pub fn peak_memory_mib() -> u64 {
    fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|s| {
            let line = s.lines().find(|l| l.starts_with("VmHWM:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .map_or(0, |kib| kib / 1024)
}
