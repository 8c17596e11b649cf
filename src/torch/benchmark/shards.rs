//! A benchmark shared among several jobs: each trains some tasks of the grid, and all of them make the whole.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::BenchmarkError;
use super::arms::{Experiment, Task};
use super::plates::BenchmarkPlan;
use super::settings::BenchmarkSettings;
use super::trials::{Picture, Tested, Trained, Trials};
use lapsegan_core::json_diff::differences;

/// Differing fields, or tasks, that are listed.
const LISTED: usize = 9;

/// What all shards of a benchmark have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchmarkIdentity {
    /// Version of the package.
    pub version: String,
    /// Number of shards.
    pub of: usize,
    /// Seed of the benchmark.
    pub seed: u64,
    /// Digest of the real plate.
    pub real_sha256: String,
    /// Digest of the synthetic plate.
    pub synthetic_sha256: String,
    /// Settings.
    pub settings: BenchmarkSettings,
    /// What was found about the plates.
    pub plan: BenchmarkPlan,
    /// The held-out sequences.
    pub test: Vec<Tested>,
}

/// The trainings of one job.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardRun {
    /// Number of the shard, from 1.
    pub index: usize,
    /// Where the segmenters were trained.
    pub device: String,
    /// File name of the synthetic plate, for people.
    pub synthetic: String,
    /// What all shards share.
    pub identity: BenchmarkIdentity,
    /// Its trainings.
    pub trained: Vec<Trained>,
    /// Frames for the report; what was found in them is kept with the trainings of the first seed.
    pub pictures: Vec<Picture>,
}

/// Shards that were put together.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// What the shards share.
    pub identity: BenchmarkIdentity,
    /// All trainings, by rising number of real sequences.
    pub trials: Vec<Trials>,
    /// File name of the synthetic plate.
    pub synthetic: String,
    /// Devices of the shards, each once.
    pub devices: Vec<String>,
}

/// Returns the tasks of shard `index` (from 1) of `of`: every `of`-th. Empty with more shards than tasks.
pub fn share(tasks: &[Task], index: usize, of: usize) -> Vec<Task> {
    tasks.iter().copied().skip(index - 1).step_by(of).collect()
}

/// Reads shards, in any order, and puts them together.
///
/// # Errors
/// What [`ShardRun::read`] says, and [`BenchmarkError::Input`] for shards of different benchmarks and for tasks of the
/// grid that are missing or there twice; all of them are named.
pub fn gather(folders: &[PathBuf]) -> Result<Gathered, BenchmarkError> {
    let mut shards = Vec::new();
    for folder in folders {
        shards.push((folder.display().to_string(), ShardRun::read(folder)?));
    }
    shards.sort_by_key(|(_, shard)| shard.index);
    let Some((first, ShardRun { identity, synthetic, .. })) = shards.first() else {
        return Err(BenchmarkError::input("no parts", "name the folders of all parts"));
    };
    for (other, shard) in &shards[1..] {
        let fields = differences(identity, &shard.identity);
        if !fields.is_empty() {
            let fields: Vec<String> = fields.iter().take(LISTED).map(|f| format!("{f:.200}")).collect();
            return Err(BenchmarkError::input(
                format!("{first} and {other} are parts of different benchmarks: {}", fields.join("; ")),
                "run all parts with the same plates, seed and settings; --shard alone differs",
            ));
        }
    }
    let experiment = identity.settings.experiment()?;
    expect_whole(&shards, &experiment)?;
    expect_equal_pictures(&shards)?;
    let (identity, synthetic) = (identity.clone(), synthetic.clone());
    let mut devices: Vec<String> = shards.iter().map(|(_, shard)| shard.device.clone()).collect();
    devices.sort();
    devices.dedup();
    let (mut trained, mut pictures) = (Vec::new(), Vec::new());
    for (_, shard) in shards {
        trained.extend(shard.trained);
        if pictures.is_empty() {
            pictures = shard.pictures;
        }
    }
    let trials = Trials::by_number(&experiment, &trained, &identity.test, &pictures, &identity.plan.n_real);
    Ok(Gathered { identity, trials, synthetic, devices })
}

/// Checks that every task of the grid is there, and once.
fn expect_whole(shards: &[(String, ShardRun)], experiment: &Experiment) -> Result<(), BenchmarkError> {
    let BenchmarkIdentity { settings, of, plan, .. } = &shards[0].1.identity;
    let wanted = experiment.grid(settings.seeds, &plan.n_real);
    let all =
        || shards.iter().flat_map(|(folder, shard)| shard.trained.iter().map(move |t| (folder, t.task)));
    let folders = |task: &Task| -> Vec<&str> {
        all().filter(|(_, other)| other == task).map(|(folder, _)| folder.as_str()).collect()
    };
    if let Some((_, task)) = all().find(|(_, task)| !wanted.contains(task)) {
        return Err(BenchmarkError::input(
            format!("the {task} is no part of {} seeds", settings.seeds),
            "run this part again",
        ));
    }
    let there: Vec<(usize, &Task, Vec<&str>)> =
        wanted.iter().enumerate().map(|(at, task)| (at, task, folders(task))).collect();
    let twice: Vec<String> = there
        .iter()
        .filter(|(.., folders)| folders.len() > 1)
        .map(|(_, task, folders)| format!("the {task} in {}", folders.join(" and ")))
        .collect();
    if !twice.is_empty() {
        return Err(BenchmarkError::input(
            format!("trainings are there twice: {}", list(&twice)),
            "name the folder of every part once",
        ));
    }
    let missing: Vec<String> = there
        .iter()
        .filter(|(.., folders)| folders.is_empty())
        .map(|(at, task, _)| format!("the {task} (part {} of {of})", at % (*of).max(1) + 1))
        .collect();
    if !missing.is_empty() {
        return Err(BenchmarkError::input(
            format!("{} of {} trainings are missing: {}", missing.len(), wanted.len(), list(&missing)),
            "name the folders of all parts; run those that are missing with --shard",
        ));
    }
    Ok(())
}

/// Checks that all shards that hold pictures hold the same ones.
fn expect_equal_pictures(shards: &[(String, ShardRun)]) -> Result<(), BenchmarkError> {
    let pictured = shards.iter().filter(|(_, shard)| shard.trained.iter().any(|t| t.task.seed == 0));
    let mut pictures = pictured.map(|(folder, shard)| (folder, &shard.pictures));
    if let Some((first, of_first)) = pictures.next()
        && let Some((other, _)) = pictures.find(|(_, of_other)| *of_other != of_first)
    {
        return Err(BenchmarkError::input(
            format!("{first} and {other} show different held-out sequences"),
            "run these parts again",
        ));
    }
    Ok(())
}

fn list(all: &[String]) -> String {
    let more = if all.len() > LISTED { format!(" and {} more", all.len() - LISTED) } else { String::new() };
    format!("{}{more}", all.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", "))
}
