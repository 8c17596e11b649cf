//! Labels that the discriminator reads in images, and generated labels that should be those that it reads.

use tch::{Kind, Reduction, Tensor};

/// Cross entropy plus soft Dice of label maps, each over every map: both are in [0, 1], so that soft maps are fitted as
/// well. `-> []`
///
/// Where objects are rare, cross entropy alone is small for a network that finds nothing anywhere. Dice is taken over
/// all samples together, as most images may be empty, and with squares below, so that it is best at a soft map itself.
/// Both are weighted by the share of samples with labels, so that the mean over parts of a batch is that of the batch.
///
/// # Shapes
/// `logits`, `targets` `[N, M, T, H, W]`; `labelled [N, 1, 1, 1, 1]` is 1 for the samples that count, one of `every`.
pub fn reading_loss(logits: &Tensor, targets: &Tensor, labelled: &Tensor, every: f64) -> Tensor {
    let entropy = logits.binary_cross_entropy_with_logits::<Tensor>(targets, None, None, Reduction::None);
    let maps = logits.sigmoid() * labelled;
    let targets = targets * labelled;
    // [N, M, T, H, W] -> [M]
    let sum = |x: &Tensor| x.sum_dim_intlist([0_i64, 2, 3, 4].as_slice(), false, Kind::Float);
    let dice = sum(&(&maps * &targets)) * 2.0 / (sum(&maps.square()) + sum(&targets.square()) + 1.0);
    let share = labelled.mean(Kind::Float) * every;
    (entropy * labelled * every).mean(Kind::Float) + share * (1.0 - dice.mean(Kind::Float))
}

/// Mean square of generated label maps less those that were read, both standardised: a map that is rarely on counts as much
/// as one that often is. `-> []`
///
/// # Shapes
/// `maps`, `read` `[N, M, T, H, W]`.
pub fn agreement_loss(maps: &Tensor, read: &Tensor) -> Tensor {
    (maps - read).square().mean(Kind::Float)
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
    fn the_loss_of_parts_is_that_of_the_whole_and_soft_maps_are_fitted() {
        let options = (Kind::Float, Device::Cpu);
        let logits = Tensor::randn([8, 2, 1, 8, 8], options);
        let targets = Tensor::rand([8, 2, 1, 8, 8], options);
        let labelled = Tensor::from_slice(&[1.0_f32, 0.0, 0.0, 0.0]).repeat([2]).view([8, 1, 1, 1, 1]);
        let loss = |at: i64, n: i64| {
            let part = |x: &Tensor| x.narrow(0, at, n);
            reading_loss(&part(&logits), &part(&targets), &part(&labelled), 4.0).double_value(&[])
        };
        // Halves with equal shares: Dice is one of sums, and differs a little from part to part.
        let halves = f64::midpoint(loss(0, 4), loss(4, 4));
        assert!((halves / loss(0, 8) - 1.0).abs() < 0.05, "{halves} {}", loss(0, 8));
        // A part without labels adds nothing.
        assert_eq!(loss(1, 3), 0.0);
        // Dice of a soft map is best where it is met, not where it is exceeded.
        let soft = Tensor::full([1, 1, 1, 8, 8], 0.4, options);
        let one = Tensor::ones([1, 1, 1, 1, 1], options);
        let at =
            |p: f64| reading_loss(&soft.full_like((p / (1.0 - p)).ln()), &soft, &one, 1.0).double_value(&[]);
        assert!(at(0.4) < at(0.5) && at(0.4) < at(0.3));
    }
}
