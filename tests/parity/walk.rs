//! The walk of the published sampling script: straight in `z`, both ends included, with the generator's stored noise.

use lapsegan::generation::walk::{self, Points, WalkCurve};
use lapsegan::model::{Precision, Wiring};
use tch::Tensor;

use super::generator::build;
use super::{FORWARD, fixtures, relative_error};

#[test]
fn the_same_latents_give_the_images_of_the_published_walk() {
    for case in fixtures("generator") {
        let (_vs, generator) = build(&case, Wiring::Original, Precision::Float32);
        let z = Tensor::cat(&[case.get("in.z1"), case.get("in.z2")], 0);
        let images = |z: &Tensor| {
            let ws = generator.broadcast(&generator.map(z));
            generator.synthesise(&ws, &mut generator.fixed_noise())
        };
        let (keyframes, points) = (z.size()[0] as usize, 11);
        let positions = walk::positions(keyframes, Points::All(points), false);
        let walked = walk::latents(&z, &positions, WalkCurve::Linear, false);
        // torch.nn.functional.interpolate(z.T[None], size=points, mode="linear", align_corners=True)
        let expected = z.tr().unsqueeze(0).upsample_linear1d([points as i64], true, None::<f64>);
        let expected = expected.squeeze_dim(0).tr();
        assert!(relative_error(&walked, &expected) < FORWARD, "{}", case.name);
        assert!(relative_error(&images(&walked), &images(&expected)) < FORWARD, "{}", case.name);
        // Golden images of the published code at the first end.
        let first = images(&walked).narrow(0, 0, 1);
        let golden = case.get("out.image_z1_buffers").narrow(0, 0, 1);
        assert!(relative_error(&first, &golden) < FORWARD, "{}", case.name);
    }
}
