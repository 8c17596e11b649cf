//! Adam whose state can be saved (Kingma and Ba, ICLR 2015).

use tch::Tensor;

use super::lists::{self, AdamLists};
use crate::transfer::{download, upload};

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
    /// Their steps are those of the time when the groups were made.
    state: Vec<Option<Moments>>,
    /// The parameters with state, by learning rate; empty until the next step after a change.
    groups: Vec<Group>,
    /// How often the groups were made.
    layout: u64,
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

/// What is stepped in one call, as the kernel takes it.
#[derive(Debug)]
struct Group {
    rate: f64,
    members: Vec<usize>,
    parameters: Vec<Tensor>,
    exp_avgs: Vec<Tensor>,
    exp_avg_sqs: Vec<Tensor>,
    /// Steps taken, on the device, `[members]`; and its elements.
    counters: Tensor,
    steps: Vec<Tensor>,
}

impl Adam {
    /// Starts over parameters with a learning rate each.
    pub fn new(config: AdamConfig, parameters: Vec<Tensor>, learning_rates: Vec<f64>) -> Self {
        assert_eq!(parameters.len(), learning_rates.len(), "one learning rate per parameter");
        let state = parameters.iter().map(|_| None).collect();
        Self { config, parameters, learning_rates, state, groups: Vec::new(), layout: 0 }
    }

    /// Returns the parameters in their order.
    pub fn parameters(&self) -> &[Tensor] {
        &self.parameters
    }

    /// Returns the state per parameter, in their order; `None` for one that never had a gradient. The host waits for the
    /// device.
    pub fn state(&self) -> Vec<Option<Moments>> {
        let mut steps: Vec<Option<i64>> =
            self.state.iter().map(|moments| moments.as_ref().map(|moments| moments.step)).collect();
        for group in &self.groups {
            let counters = Vec::<f32>::try_from(download(&group.counters)).expect("one number per member");
            for (&member, counter) in group.members.iter().zip(counters) {
                steps[member] = Some(counter as i64);
            }
        }
        let moments = |(moments, step): (&Option<Moments>, Option<i64>)| {
            let Moments { exp_avg, exp_avg_sq, .. } = moments.as_ref()?;
            Some(Moments {
                step: step?,
                exp_avg: exp_avg.shallow_clone(),
                exp_avg_sq: exp_avg_sq.shallow_clone(),
            })
        };
        self.state.iter().zip(steps).map(moments).collect()
    }

    /// Replaces the state of a parameter; its moments must have the parameter's shape and device.
    pub fn set_state(&mut self, index: usize, moments: Option<Moments>) {
        self.state = self.state();
        self.groups.clear();
        self.state[index] = moments;
    }

    /// Gives all parameters another learning rate.
    pub fn set_rate(&mut self, rate: f64) {
        self.learning_rates.fill(rate);
        for group in &mut self.groups {
            group.rate = rate;
        }
    }

    /// Returns a number that changes where a step begins to work on other tensors than the one before.
    pub fn layout(&self) -> u64 {
        self.layout
    }

    /// Returns all tensors that a step writes: parameters, moments, counters.
    pub fn written(&self) -> Vec<Tensor> {
        let moments = self.state.iter().flatten().flat_map(|m| [&m.exp_avg, &m.exp_avg_sq]);
        let counters = self.groups.iter().map(|group| &group.counters);
        // Without a graph: they are restored in place.
        self.parameters.iter().chain(moments).chain(counters).map(Tensor::detach).collect()
    }

    /// Takes one step along gradients in the order of the parameters.
    pub fn step(&mut self, gradients: &[Option<Tensor>]) {
        assert_eq!(gradients.len(), self.parameters.len(), "one gradient per parameter");
        let is_new = |&index: &usize| gradients[index].is_some() && self.state[index].is_none();
        let new: Vec<usize> = (0..gradients.len()).filter(is_new).collect();
        if !new.is_empty() {
            self.state = self.state();
            self.groups.clear();
        }
        for index in new {
            let zeros = || tch::no_grad(|| self.parameters[index].zeros_like());
            self.state[index] = Some(Moments { step: 0, exp_avg: zeros(), exp_avg_sq: zeros() });
        }
        if self.groups.is_empty() {
            self.groups = self.group();
            self.layout += 1;
        }
        for group in &mut self.groups {
            let _ = tch::no_grad(|| group.counters.g_add_scalar_(1.0));
            // The kernel reads memory in order, whatever layout the backward pass left.
            let gradient = |&index: &usize| match &gradients[index] {
                Some(gradient) => gradient.contiguous(),
                None => self.parameters[index].zeros_like(),
            };
            let lists = AdamLists {
                parameters: &group.parameters,
                gradients: &group.members.iter().map(gradient).collect::<Vec<_>>(),
                exp_avgs: &group.exp_avgs,
                exp_avg_sqs: &group.exp_avg_sqs,
                steps: &group.steps,
            };
            lists::adam(&lists, group.rate, [self.config.beta1, self.config.beta2], self.config.eps);
        }
    }

    /// Returns the parameters that have state, by learning rate.
    fn group(&self) -> Vec<Group> {
        let mut rates: Vec<f64> = self.learning_rates.clone();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        let group = |rate: f64| {
            let stepped = |&i: &usize| self.learning_rates[i] == rate && self.state[i].is_some();
            let members: Vec<usize> = (0..self.parameters.len()).filter(stepped).collect();
            let first = self.parameters.get(*members.first()?)?;
            let moments: Vec<&Moments> = members.iter().filter_map(|&i| self.state[i].as_ref()).collect();
            let counters: Vec<f32> = moments.iter().map(|moments| moments.step as f32).collect();
            let counters = upload(&Tensor::from_slice(&counters), first.device());
            Some(Group {
                rate,
                parameters: members.iter().map(|&i| self.parameters[i].detach()).collect(),
                exp_avgs: moments.iter().map(|moments| moments.exp_avg.shallow_clone()).collect(),
                exp_avg_sqs: moments.iter().map(|moments| moments.exp_avg_sq.shallow_clone()).collect(),
                steps: (0..members.len() as i64).map(|i| counters.get(i)).collect(),
                counters,
                members,
            })
        };
        rates.into_iter().filter_map(group).collect()
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
        assert!(adam.state()[1].is_none());
        assert_eq!(adam.parameters()[1], make());
        adam.step(&[None, None]);
        assert_eq!(adam.state()[0].as_ref().map(|s| s.step), Some(2));
        // With beta1 = 0 a zero gradient moves nothing.
        let moved = Vec::<f32>::try_from(&adam.parameters()[0]).unwrap();
        assert!((moved[0] - 0.9).abs() < 1e-6 && (moved[1] - 2.1).abs() < 1e-6);
    }
}
