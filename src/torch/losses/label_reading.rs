//! Labels that the discriminator reads in images, and generated labels that should be those that it reads.

use tch::{Kind, Reduction, Tensor};

/// Cross entropy plus soft Dice of label maps, each over every map: both are in [0, 1], so that soft maps are fitted as
/// well. `-> []`
///
/// Where objects are rare, cross entropy alone is small for a network that finds nothing anywhere. Dice is taken over
/// the whole batch, as most images may be empty.
///
/// # Shapes
/// `logits`, `targets` `[N, M, T, H, W]`; `labelled [N, 1, 1, 1, 1]` is 1 for the samples that count, one of `every`.
pub fn reading_loss(logits: &Tensor, targets: &Tensor, labelled: &Tensor, every: f64) -> Tensor {
    let entropy = logits.binary_cross_entropy_with_logits::<Tensor>(targets, None, None, Reduction::None)
        * labelled
        * every;
    let maps = logits.sigmoid() * labelled;
    let targets = targets * labelled;
    // [N, M, T, H, W] -> [M]
    let sum = |x: &Tensor| x.sum_dim_intlist([0_i64, 2, 3, 4].as_slice(), false, Kind::Float);
    let dice = sum(&(&maps * &targets)) * 2.0 / (sum(&maps) + sum(&targets) + 1.0);
    entropy.mean(Kind::Float) + 1.0 - dice.mean(Kind::Float)
}

/// Mean square of generated label maps less those that were read, in units of their `spread`. `-> []`
///
/// # Shapes
/// `maps`, `read` `[N, M, T, H, W]`; `spread` broadcasts over them.
pub fn agreement_loss(maps: &Tensor, read: &Tensor, spread: Option<&Tensor>) -> Tensor {
    let difference = maps - read;
    let difference = spread.map_or_else(|| difference.shallow_clone(), |spread| &difference / spread);
    difference.square().mean(Kind::Float)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn what_has_no_labels_has_no_gradient_and_what_is_read_right_no_loss() {
        let options = (Kind::Float, Device::Cpu);
        let targets = Tensor::rand([4, 2, 1, 8, 8], options).gt(0.5).to_kind(Kind::Float);
        let labelled = Tensor::from_slice(&[1.0_f32, 0.0, 0.0, 0.0]).view([4, 1, 1, 1, 1]);
        let logits = Tensor::zeros([4, 2, 1, 8, 8], options).set_requires_grad(true);
        let loss = reading_loss(&logits, &targets, &labelled, 4.0);
        let gradient = Tensor::run_backward(&[&loss], &[&logits], false, false).remove(0);
        assert!(gradient.get(0).abs().max().double_value(&[]) > 0.0);
        assert_eq!(gradient.narrow(0, 1, 3).abs().max().double_value(&[]), 0.0);
        // The mean over what has labels, whatever its share.
        let all =
            reading_loss(&logits.narrow(0, 0, 1), &targets.narrow(0, 0, 1), &labelled.narrow(0, 0, 1), 1.0);
        assert!((all - &loss).abs().double_value(&[]) < 1e-6);
        let right = (&targets * 2.0 - 1.0) * 30.0;
        assert!(reading_loss(&right, &targets, &labelled, 4.0).double_value(&[]) < 0.02);
    }

    #[test]
    fn agreement_is_in_units_of_the_spread() {
        let maps = Tensor::zeros([2, 2, 1, 4, 4], (Kind::Float, Device::Cpu));
        let spread = Tensor::from_slice(&[0.5_f32, 0.25]).view([1, 2, 1, 1, 1]);
        let loss = agreement_loss(&maps, &(&maps + 0.5), Some(&spread)).double_value(&[]);
        assert!((loss - 2.5).abs() < 1e-6);
        assert!((agreement_loss(&maps, &(&maps + 0.5), None).double_value(&[]) - 0.25).abs() < 1e-6);
    }
}
