//! Labels that the discriminator reads in images, and generated labels that should be those that it reads.

use tch::{Kind, Reduction, Tensor};

/// Cross entropy plus soft Dice of label maps, each over every map: both are in [0, 1], so that soft maps are fitted as
/// well. `-> []`
///
/// Where objects are rare, cross entropy alone is small for a network that finds nothing anywhere. Dice is taken over
/// the whole batch, as most images may be empty.
///
/// # Shapes
/// `logits`, `targets` `[N, M, T, H, W]`; `shown [N, 1, 1, 1, 1]` is 1 for the samples that count, one of `every`.
pub fn reading_loss(logits: &Tensor, targets: &Tensor, shown: &Tensor, every: f64) -> Tensor {
    let entropy =
        logits.binary_cross_entropy_with_logits::<Tensor>(targets, None, None, Reduction::None) * shown * every;
    let maps = logits.sigmoid() * shown;
    let targets = targets * shown;
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
