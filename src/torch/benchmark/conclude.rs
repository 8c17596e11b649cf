//! From trials to the files of a benchmark.

use std::path::Path;

use super::curve::{Curve, curve};
use super::plates::BenchmarkPlan;
use super::settings::BenchmarkSettings;
use super::trials::Trials;
use super::{BenchmarkError, multiqc, page};
use lapsegan_core::output::write_file;

/// Writes `scores.json`, `segmentation_mqc.json` and `report.html` of trials of rising numbers of real sequences into a
/// folder.
///
/// The resamples follow from `base_seed`; `synthetic` is the name of the synthetic plate, for people.
///
/// # Errors
/// [`BenchmarkError::Data`] with what the system says, [`BenchmarkError::Report`] for pictures.
pub fn conclude(
    folder: &Path,
    trials: &[Trials],
    plan: &BenchmarkPlan,
    settings: &BenchmarkSettings,
    base_seed: u64,
    synthetic: &str,
) -> Result<Curve, BenchmarkError> {
    let curve = curve(trials, settings, plan.n_labels_of_generator, base_seed);
    let mut scores = curve.primary().to_json(&trials[0], plan, settings);
    curve.add_to(&mut scores);
    let table = multiqc::custom_content(&curve, synthetic);
    let html = page::page(&curve, &trials[0], plan, settings)?;
    write_file(&folder.join("scores.json"), format!("{scores:#}\n").as_bytes())?;
    write_file(&folder.join("segmentation_mqc.json"), format!("{table:#}\n").as_bytes())?;
    write_file(&folder.join("report.html"), html.as_bytes())?;
    Ok(curve)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::arms::{Arm, Experiment, PoolKind};
    use super::super::crops::drawn::discs;
    use super::super::plates::Material;
    use super::super::segmenter::otsu::Otsu;
    use super::super::trials::{Setup, pictures, run, tested};
    use super::*;

    fn plan() -> BenchmarkPlan {
        BenchmarkPlan {
            channels: vec!["phase".into()],
            real_label_route: None,
            synthetic_label_route: None,
            n_real_train: 6,
            n_real: vec![2],
            n_labels_of_generator: 0,
            n_unlabelled: 0,
            threshold_channel: None,
            n_synthetic: 4,
            n_test: 4,
            test_groups: ["g0", "g1", "g2"].map(String::from).to_vec(),
            leaked_groups: Vec::new(),
            single_movie: false,
            notes: Vec::new(),
        }
    }

    /// Runs the benchmark with thresholds instead of networks; returns scores.json, the MultiQC table and the page.
    fn outputs(experiment: &Experiment) -> (Value, Value, String) {
        outputs_of(experiment, &[2])
    }

    fn outputs_of(experiment: &Experiment, n_real: &[usize]) -> (Value, Value, String) {
        let real = discs(6, 3, 1);
        let material =
            Material { unlabelled: real.clone(), real, synthetic: discs(4, 1, 2), test: discs(4, 3, 3) };
        let setup = Setup { material: &material, segmenter: &Otsu, base_seed: 5, workers: 2 };
        let settings = BenchmarkSettings::quick();
        let trained = run(&setup, &experiment.grid(settings.seeds, n_real), &mut |_| ()).unwrap();
        let (test, pictures) = (tested(&material.test), pictures(&material.test));
        let trials = Trials::by_number(experiment, &trained, &test, &pictures, n_real);
        let folder = tempfile::tempdir().unwrap();
        conclude(folder.path(), &trials, &plan(), &settings, 5, "synthetic.ome.zarr").unwrap();
        let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        let json = |name: &str| serde_json::from_str(&text(name)).unwrap();
        (json("scores.json"), json("segmentation_mqc.json"), text("report.html"))
    }

    #[test]
    fn a_fourth_arm_is_one_line_and_stands_in_all_outputs() {
        let (scores, table, page) = outputs(&Experiment::standard().with(Arm::plain(
            "real_twice",
            "",
            &[PoolKind::Real, PoolKind::Real],
        )));
        // The same pool twice has the same threshold, so that nothing changes.
        assert_eq!(scores["arms"]["real_twice"], scores["arms"]["real"]);
        assert!(scores["arms"]["real"]["estimates"]["dice"]["value"].as_f64().unwrap() > 0.5);
        assert_eq!(scores["differences"]["real_twice - real"]["mean_ap"]["value"], 0.0);
        assert_eq!(scores["verdict"]["real_twice"], "no_evidence");
        assert_eq!(scores["sequences"][0]["arms"]["real_twice"], scores["sequences"][0]["arms"]["real"]);
        let row = &table["data"]["synthetic | real_twice"];
        assert_eq!((&row["difference"], &row["verdict"]), (&0.0.into(), &"no evidence".into()));
        assert_eq!(row["dice"], table["data"]["synthetic | real"]["dice"]);
        for words in ["real_twice - real", "real, synthetic, both and real_twice found", "in arm real_twice"]
        {
            assert!(page.contains(words), "{words}");
        }
    }

    #[test]
    fn several_numbers_of_sequences_stand_in_all_outputs_and_change_nothing_for_the_smallest() {
        let ((one, ..), (several, table, page)) =
            (outputs(&Experiment::standard()), outputs_of(&Experiment::standard(), &[2, 4]));
        assert_eq!(one["arms"]["both"], several["arms"]["both"]);
        assert!(one.get("curve").is_none());
        let curve = several["curve"].as_array().unwrap();
        assert_eq!(curve.iter().map(|point| point["n_real"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(curve[0]["arms"]["synthetic"], curve[1]["arms"]["synthetic"]);
        assert!(curve[1]["differences"]["both - real"]["mean_ap"]["p_holm"].is_number());
        assert_eq!(several["labels_saved"][0]["n_real"], 2);
        assert!(
            table["data"]["synthetic | both, 4 real"].is_object()
                && table["data"]["synthetic | both, 2 real"].is_object()
        );
        for words in ["How many sequences must be labelled?", "synthetic sequences are worth"] {
            assert!(page.contains(words), "{words}");
        }
    }

    #[test]
    fn a_further_arm_changes_nothing_for_the_others() {
        let more = Experiment::standard().with(Arm::plain("synthetic_twice", "", &[PoolKind::Synthetic; 2]));
        let ((three, ..), (four, ..)) = (outputs(&Experiment::standard()), outputs(&more));
        for arm in ["real", "synthetic", "both"] {
            assert_eq!(three["arms"][arm], four["arms"][arm]);
        }
        assert_eq!(three["differences"]["both - real"], four["differences"]["both - real"]);
    }
}
