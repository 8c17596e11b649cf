//! Distances between samples on a line against SciPy and NumPy.

use lapsegan_core::stats::wasserstein;

use super::{entries, fixture};

#[test]
fn distances_of_samples_equal_scipy() {
    let (json, tensors) = fixture("distribution");
    for case in entries(&json["one_dim"]) {
        let key = case["key"].as_str().unwrap();
        let sample = |side: &str| -> Vec<f64> { tensors.get(&format!("{key}.{side}")).into_iter().collect() };
        let (a, b) = (sample("a"), sample("b"));
        let check = |what: &str, got: Option<f64>, expected: &serde_json::Value| {
            let (got, expected) = (got.unwrap(), expected.as_f64().unwrap());
            assert!(
                (got - expected).abs() <= 1e-9 * expected.abs().max(1.0),
                "{key} {what}: {got}, expected {expected}"
            );
        };
        check("wasserstein_1", wasserstein::wasserstein_1(&a, &b), &case["wasserstein_1"]);
        check("energy_distance", wasserstein::energy_distance(&a, &b), &case["energy_distance"]);
        check("ks_statistic", wasserstein::ks_statistic(&a, &b), &case["ks_statistic"]);
        for (i, side) in [&a, &b].into_iter().enumerate() {
            check("mean", wasserstein::mean(side), &case["mean"][i]);
            check("std", wasserstein::std_dev(side), &case["std_ddof1"][i]);
            for (q, expected) in [0.05, 0.25, 0.5, 0.75, 0.95]
                .into_iter()
                .zip(entries(&case["quantiles_linear_5_25_50_75_95"][i]))
            {
                check("quantile", wasserstein::quantile(side, q), expected);
            }
        }
    }
}
