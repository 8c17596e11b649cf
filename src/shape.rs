//! Shape checks of tensors at the entries of public functions.

use crate::error::{Advice, Exit};

/// A tensor of another shape than a function takes.
#[derive(Debug, thiserror::Error)]
#[error("{name} has shape {actual:?}, expected {expected}")]
pub struct ShapeError {
    /// What the tensor is, in the caller's words.
    pub name: String,
    /// Its shape.
    pub actual: Vec<i64>,
    /// The shape wanted, with `*` for a free axis.
    pub expected: String,
}

impl Advice for ShapeError {
    fn exit(&self) -> Exit {
        Exit::BadInput
    }
}

/// Checks a shape against `expected`, where `None` stands for a free axis.
///
/// # Errors
/// [`ShapeError`] naming the tensor, its shape and the expected one.
pub fn expect_shape(name: &str, actual: &[i64], expected: &[Option<i64>]) -> Result<(), ShapeError> {
    let fits =
        actual.len() == expected.len() && actual.iter().zip(expected).all(|(a, e)| e.is_none_or(|e| e == *a));
    if fits {
        return Ok(());
    }
    let axes: Vec<String> = expected.iter().map(|e| e.map_or("*".to_owned(), |n| n.to_string())).collect();
    Err(ShapeError {
        name: name.to_owned(),
        actual: actual.to_vec(),
        expected: format!("[{}]", axes.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_axes_fit_any_size_and_others_are_named() {
        assert!(expect_shape("x", &[3, 2, 8], &[None, Some(2), None]).is_ok());
        let error = expect_shape("images", &[3, 2], &[None, Some(6)]).unwrap_err();
        assert_eq!(error.to_string(), "images has shape [3, 2], expected [*, 6]");
        assert!(expect_shape("x", &[3], &[None, None]).is_err());
    }
}
