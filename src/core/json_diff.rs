//! In which fields two records differ, for messages that say why two things do not belong together.

use serde::Serialize;
use serde_json::Value;

/// Returns the fields in which two records differ, as `field: a != b` with dots between levels.
pub fn differences(a: &impl Serialize, b: &impl Serialize) -> Vec<String> {
    let json = |value| serde_json::to_value(value).unwrap_or_default();
    let mut fields = Vec::new();
    compare("", &json(a), &serde_json::to_value(b).unwrap_or_default(), &mut fields);
    fields
}

fn compare(path: &str, a: &Value, b: &Value, fields: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            // What one of them leaves out is null.
            let only_b = b.keys().filter(|key| !a.contains_key(*key));
            for key in a.keys().chain(only_b) {
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&path, &of(a), &of(b), fields);
            }
        }
        (a, b) if a == b => {}
        (a, b) => fields.push(format!("{path}: {a} != {b}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_differing_field_is_named_on_either_side() {
        let a = json!({ "seed": 1, "model": { "depth": 2, "width": 3 }, "x": 0 });
        let b = json!({ "seed": 1, "model": { "depth": 4, "width": 3 }, "y": "z" });
        assert_eq!(differences(&a, &b), ["model.depth: 2 != 4", "x: 0 != null", "y: null != \"z\""]);
        assert!(differences(&a, &a).is_empty());
    }
}
