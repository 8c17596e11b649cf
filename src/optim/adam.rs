//! Adam whose state can be saved (Kingma and Ba, ICLR 2015).

use tch::Tensor;

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
        tch::no_grad(|| {
            for (((parameter, lr), state), gradient) in
                self.parameters.iter_mut().zip(&self.learning_rates).zip(&mut self.state).zip(gradients)
            {
                if gradient.is_none() && state.is_none() {
                    continue;
                }
                let moments = state.get_or_insert_with(|| Moments {
                    step: 0,
                    exp_avg: parameter.zeros_like(),
                    exp_avg_sq: parameter.zeros_like(),
                });
                moments.step += 1;
                let _ = moments.exp_avg.g_mul_scalar_(beta1);
                let _ = moments.exp_avg_sq.g_mul_scalar_(beta2);
                if let Some(gradient) = gradient {
                    moments.exp_avg += gradient * (1.0 - beta1);
                    moments.exp_avg_sq += gradient.square() * (1.0 - beta2);
                }
                let correction1 = 1.0 - beta1.powi(moments.step as i32);
                let correction2 = 1.0 - beta2.powi(moments.step as i32);
                let denominator = moments.exp_avg_sq.sqrt() / correction2.sqrt() + eps;
                *parameter -= &moments.exp_avg / denominator * (*lr / correction1);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
