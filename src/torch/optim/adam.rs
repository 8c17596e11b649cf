//! Adam whose state can be saved (Kingma and Ba, ICLR 2015).

use tch::Tensor;

use super::fused::{self, Group};

/// Settings of Adam.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
}

/// Adam over a fixed list of parameters.
///
/// A parameter without gradient is left alone as long as it never had one. Later it is stepped with a gradient of
/// zero: its second moment decays and its step counter advances. Reference: the published code zeroes gradients
/// instead of dropping them, which amounts to this.
#[derive(Debug)]
pub struct Adam {
    config: AdamConfig,
    parameters: Vec<Tensor>,
    learning_rates: Vec<f64>,
    /// State per parameter; `None` until it gets its first gradient.
    pub state: Vec<Option<Moments>>,
}

/// State of one parameter.
#[derive(Debug)]
pub struct Moments {
    /// Steps taken.
    pub step: i64,
    /// Running mean of the gradient.
    pub exp_avg: Tensor,
    /// Running mean of its square.
    pub exp_avg_sq: Tensor,
}

impl Adam {
    /// Starts over parameters with a learning rate each.
    pub fn new(config: AdamConfig, parameters: Vec<Tensor>, learning_rates: Vec<f64>) -> Self {
        assert_eq!(parameters.len(), learning_rates.len(), "one learning rate per parameter");
        let state = parameters.iter().map(|_| None).collect();
        Self { config, parameters, learning_rates, state }
    }

    /// Returns the parameters in their order.
    pub fn parameters(&self) -> &[Tensor] {
        &self.parameters
    }

    /// Takes one step along gradients in the order of the parameters.
    pub fn step(&mut self, gradients: &[Option<Tensor>]) {
        assert_eq!(gradients.len(), self.parameters.len(), "one gradient per parameter");
        let AdamConfig { beta1, beta2, eps } = self.config;
        let mut rates: Vec<f64> = self.learning_rates.clone();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        for rate in rates {
            let mut group = Group::default();
            for (((parameter, lr), state), gradient) in
                self.parameters.iter().zip(&self.learning_rates).zip(&mut self.state).zip(gradients)
            {
                if *lr != rate || (gradient.is_none() && state.is_none()) {
                    continue;
                }
                let moments = state.get_or_insert_with(|| Moments {
                    step: 0,
                    exp_avg: parameter.zeros_like(),
                    exp_avg_sq: parameter.zeros_like(),
                });
                moments.step += 1;
                group.steps.push(moments.step as f32);
                group.parameters.push(parameter.shallow_clone());
                group.exp_avgs.push(moments.exp_avg.shallow_clone());
                group.exp_avg_sqs.push(moments.exp_avg_sq.shallow_clone());
                // The kernel reads memory in order, whatever layout the backward pass left.
                group
                    .gradients
                    .push(gradient.as_ref().map_or_else(|| parameter.zeros_like(), Tensor::contiguous));
            }
            fused::step(&group, rate, beta1, beta2, eps);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    /// The definition, for one parameter.
    fn plain(p: &mut Tensor, m: &mut Tensor, v: &mut Tensor, g: &Tensor, step: i32, lr: f64, c: AdamConfig) {
        *m = &*m * c.beta1 + g * (1.0 - c.beta1);
        *v = &*v * c.beta2 + g.square() * (1.0 - c.beta2);
        let denominator = v.sqrt() / (1.0 - c.beta2.powi(step)).sqrt() + c.eps;
        *p = &*p - &*m / denominator * (lr / (1.0 - c.beta1.powi(step)));
    }

    #[test]
    fn the_fused_kernel_follows_the_definition() {
        let options = (Kind::Float, Device::Cpu);
        let config = AdamConfig { beta1: 0.5, beta2: 0.99, eps: 1e-8 };
        let start =
            [Tensor::randn([3, 4, 5], options), Tensor::randn([7], options), Tensor::randn([], options)];
        let rates = [1e-2, 1e-3, 1e-2];
        let mut adam = Adam::new(config, start.iter().map(Tensor::copy).collect(), rates.to_vec());
        let mut expected: Vec<[Tensor; 3]> =
            start.iter().map(|p| [p.copy(), p.zeros_like(), p.zeros_like()]).collect();
        for step in 1..=5 {
            // A transposed gradient: not contiguous, as a backward pass may leave it.
            let gradients: Vec<Tensor> = start
                .iter()
                .map(|p| {
                    if p.dim() == 3 {
                        Tensor::randn([5, 4, 3], options).permute([2, 1, 0])
                    } else {
                        p.randn_like()
                    }
                })
                .collect();
            for ((e, g), lr) in expected.iter_mut().zip(&gradients).zip(rates) {
                let [p, m, v] = e;
                plain(p, m, v, g, step, lr, config);
            }
            adam.step(&gradients.into_iter().map(Some).collect::<Vec<_>>());
        }
        for (actual, [expected, ..]) in adam.parameters().iter().zip(&expected) {
            assert!((actual - expected).abs().max().double_value(&[]) < 1e-6);
        }
    }

    #[test]
    fn a_parameter_that_never_had_a_gradient_is_not_touched() {
        let make = || Tensor::from_slice(&[1.0_f32, 2.0]);
        let config = AdamConfig { beta1: 0.0, beta2: 0.999, eps: 1e-8 };
        let mut adam = Adam::new(config, vec![make(), make()], vec![0.1, 0.1]);
        adam.step(&[Some(Tensor::from_slice(&[1.0_f32, -1.0])), None]);
        assert!(adam.state[1].is_none());
        assert_eq!(adam.parameters()[1], make());
        adam.step(&[None, None]);
        assert_eq!(adam.state[0].as_ref().map(|s| s.step), Some(2));
        // With beta1 = 0 a zero gradient moves nothing.
        let moved = Vec::<f32>::try_from(&adam.parameters()[0]).unwrap();
        assert!((moved[0] - 0.9).abs() < 1e-6 && (moved[1] - 2.1).abs() < 1e-6);
    }
}
