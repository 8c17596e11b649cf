//! The scores that get an interval: key, title and definition, each in one place.

use serde_json::{Value, json};

use lapsegan_core::scores::counts::Scores;
use lapsegan_core::stats::bootstrap::Estimate;

/// A score that is reported for every arm and difference.
#[derive(Debug)]
pub struct Endpoint {
    /// Key in JSON.
    pub key: &'static str,
    /// Title in tables and plots.
    pub title: &'static str,
    /// How it is read from scores.
    pub read: fn(&Scores) -> Option<f64>,
}

/// The endpoints in the order they are shown. The first one is the primary one, chosen before any run.
pub const ENDPOINTS: [Endpoint; 5] = [
    Endpoint { key: "mean_ap", title: "AP 0.50:0.95", read: |s| s.mean_ap },
    Endpoint { key: "ap50", title: "AP at 0.50", read: |s| s.ap[0] },
    Endpoint { key: "f1_50", title: "F1 at 0.50", read: |s| s.f1[0] },
    Endpoint { key: "pq_50", title: "PQ at 0.50", read: |s| s.pq[0] },
    Endpoint { key: "dice", title: "Dice", read: |s| s.dice },
];

/// The endpoint that verdicts are made of: AP averaged over IoU 0.50 to 0.95.
pub const PRIMARY: &Endpoint = &ENDPOINTS[0];

/// An estimate per endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimates([Estimate; ENDPOINTS.len()]);

impl Estimates {
    /// Takes the next estimates, in the order of [`ENDPOINTS`].
    ///
    /// # Panics
    /// With fewer than there are endpoints.
    pub fn take(estimates: &mut impl Iterator<Item = Estimate>) -> Self {
        Self(std::array::from_fn(|_| estimates.next().expect("one estimate per endpoint")))
    }

    /// Returns the estimate of the [`PRIMARY`] endpoint.
    pub fn primary(&self) -> &Estimate {
        &self.0[0]
    }

    /// Returns the estimate of the endpoint at `index` of [`ENDPOINTS`].
    pub fn at(&self, index: usize) -> &Estimate {
        &self.0[index]
    }

    /// Returns endpoints with their estimates.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Endpoint, &Estimate)> {
        ENDPOINTS.iter().zip(&self.0)
    }

    /// Returns estimates by key.
    pub fn to_json(&self) -> Value {
        Value::Object(self.iter().map(|(endpoint, e)| (endpoint.key.to_owned(), json!(e))).collect())
    }
}
