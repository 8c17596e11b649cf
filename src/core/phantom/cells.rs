//! Budding yeast in a trap: growth, budding, division, crowding, and the flow that takes cells away.
//!
//! Lengths are micrometres, the origin is the middle of the field, y points down. Cells are ellipses that do not
//! overlap but for the neck between a mother and her bud.

use std::collections::BTreeMap;
use std::f64::consts::TAU;

use rand::Rng;
use rand_distr::{Distribution, Normal, StandardNormal};

use super::FIELD_UM;

/// Radius of a bud when it is first seen.
const BUD_UM: f64 = 0.55;
/// Growth of a bud per frame: from first sight to division in about 70 minutes.
const BUD_GROWTH_UM: f64 = 0.18;
/// Growth of a free cell per frame towards its final radius.
const CELL_GROWTH_UM: f64 = 0.09;
/// Drift of a cell that nothing holds, per frame.
const FLOW_UM: f64 = 0.35;
/// Most cells and buds in the field; with as many no bud starts.
const MOST_CELLS: usize = 5;

/// A cell or a bud.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Id through the recording, from 1.
    pub id: u32,
    /// Centre, x.
    pub x: f64,
    /// Centre, y.
    pub y: f64,
    /// Mean radius.
    pub radius: f64,
    /// (long - short) / (long + short) axis.
    pub flatness: f64,
    /// Direction of the long axis in radians.
    pub angle: f64,
    /// Reporter level relative to a mean cell.
    pub level: f64,
    /// Vacuole: offset relative to the radius, and direction.
    pub vacuole: (f64, f64),
    /// Seed of the texture inside.
    pub grain: f64,
    /// Mother that the cell is still attached to.
    mother: Option<u32>,
    /// Radius at which it stops to grow, or divides from its mother.
    final_radius: f64,
    /// Frames until the next bud.
    rest: u32,
    /// Where the flow does not take it: the first cell is caught in the trap.
    caught: bool,
}

impl Cell {
    /// Returns the radius in a direction.
    pub fn radius_at(&self, direction: f64) -> f64 {
        let (long, short) = (self.radius * (1.0 + self.flatness), self.radius * (1.0 - self.flatness));
        let (sin, cos) = (direction - self.angle).sin_cos();
        long * short / (short * cos).hypot(long * sin)
    }

    /// Returns the outline, for asking about many points.
    pub fn outline(&self) -> Outline {
        let (sin, cos) = self.angle.sin_cos();
        Outline {
            centre: (self.x, self.y),
            axis: (cos, sin),
            long: self.radius * (1.0 + self.flatness),
            short: self.radius * (1.0 - self.flatness),
        }
    }

    /// Returns the distance of a point from the outline, negative inside.
    fn distance(&self, x: f64, y: f64) -> f64 {
        self.outline().distance(x, y)
    }
}

/// The ellipse of a cell.
#[derive(Clone, Copy, Debug)]
pub struct Outline {
    centre: (f64, f64),
    axis: (f64, f64),
    long: f64,
    short: f64,
}

impl Outline {
    /// Returns the distance of a point from the outline along the ray from the centre, negative inside.
    pub fn distance(&self, x: f64, y: f64) -> f64 {
        let (dx, dy) = (x - self.centre.0, y - self.centre.1);
        let (u, v) = (dx * self.axis.0 + dy * self.axis.1, dy * self.axis.0 - dx * self.axis.1);
        let scaled = length(u / self.long, v / self.short);
        if scaled < 1e-9 {
            return -self.short;
        }
        (scaled - 1.0) * length(u, v) / scaled
    }
}

/// Returns the length of a vector. `hypot` is several times slower, since it avoids an overflow that cannot happen
/// here.
pub(super) fn length(x: f64, y: f64) -> f64 {
    (x * x + y * y).sqrt()
}

/// A bar of the trap: a segment with round ends.
#[derive(Clone, Copy, Debug)]
pub struct Bar {
    /// Id in the structure labels, 1 or 2.
    pub id: u32,
    /// Middle of the upper end.
    pub from: (f64, f64),
    /// Middle of the lower end.
    pub to: (f64, f64),
    /// Half the width.
    pub radius: f64,
}

impl Bar {
    /// Returns the distance of a point from the surface, negative inside.
    pub fn distance(&self, x: f64, y: f64) -> f64 {
        let (px, py) = self.nearest(x, y);
        length(x - px, y - py) - self.radius
    }

    /// Returns the nearest point of the middle line.
    fn nearest(&self, x: f64, y: f64) -> (f64, f64) {
        let (dx, dy) = (self.to.0 - self.from.0, self.to.1 - self.from.1);
        let along = ((x - self.from.0) * dx + (y - self.from.1) * dy) / (dx * dx + dy * dy);
        let along = along.clamp(0.0, 1.0);
        (self.from.0 + along * dx, self.from.1 + along * dy)
    }
}

/// A trap with the cells in it.
#[derive(Clone, Debug)]
pub struct Trap {
    /// Cells and buds in view, by age.
    pub cells: Vec<Cell>,
    /// The two bars.
    pub bars: [Bar; 2],
    centre: (f64, f64),
    parents: BTreeMap<u32, u32>,
    next_id: u32,
}

impl Trap {
    /// Returns a trap that has just caught one or two cells.
    pub fn new(rng: &mut impl Rng) -> Self {
        let centre = (rng.random_range(-0.7..0.7), rng.random_range(-0.7..0.7));
        let tilt: f64 = rng.random_range(-0.06..0.06);
        let bar = |id, side: f64| {
            let turn = |x: f64, y: f64| {
                (centre.0 + x * tilt.cos() - y * tilt.sin(), centre.1 + x * tilt.sin() + y * tilt.cos())
            };
            // The lower ends are closer together, so that the bars hold a cell against the flow.
            Bar { id, from: turn(side * 4.5, -3.6), to: turn(side * 3.9, 3.8), radius: 0.85 }
        };
        let mut trap = Self {
            cells: Vec::new(),
            bars: [bar(1, -1.0), bar(2, 1.0)],
            centre,
            parents: BTreeMap::new(),
            next_id: 1,
        };
        let mut first = trap.cell(rng, centre.0, centre.1 + 0.4);
        first.caught = true;
        first.radius = rng.random_range(2.1..2.5);
        first.rest = rng.random_range(0..4);
        trap.cells.push(first);
        if rng.random_bool(0.4) {
            let y = centre.1 + if rng.random_bool(0.5) { -4.2 } else { 4.6 };
            let x = centre.0 + rng.random_range(-0.8..0.8);
            let mut second = trap.cell(rng, x, y);
            second.radius = rng.random_range(1.5..2.2);
            trap.cells.push(second);
        }
        // A recording usually starts some frames after the cell was caught.
        for _ in 0..rng.random_range(0..8) {
            trap.step(rng);
        }
        trap
    }

    /// Returns buds and their mothers, over all frames so far.
    pub fn parents(&self) -> &BTreeMap<u32, u32> {
        &self.parents
    }

    /// Moves on by one frame.
    pub fn step(&mut self, rng: &mut impl Rng) {
        self.grow(rng);
        self.bud(rng);
        self.flow(rng);
        self.part();
        let edge = FIELD_UM / 2.0;
        let gone = |c: &Cell| c.x.abs().max(c.y.abs()) > edge + 0.6 * c.radius;
        let lost: Vec<u32> = self.cells.iter().filter(|c| gone(c)).map(|c| c.id).collect();
        self.cells.retain(|c| !gone(c));
        for cell in &mut self.cells {
            if cell.mother.is_some_and(|m| lost.contains(&m)) {
                cell.mother = None;
            }
        }
        // Now and then the flow brings a new cell into a field that has room.
        if self.cells.len() < 3 && rng.random_bool(0.04) {
            let x = self.centre.0 + rng.random_range(-1.5..1.5);
            let mut cell = self.cell(rng, x, -edge - 0.5);
            cell.radius = rng.random_range(1.6..2.2);
            self.cells.push(cell);
            self.part();
        }
    }

    fn cell(&mut self, rng: &mut impl Rng, x: f64, y: f64) -> Cell {
        let id = self.next_id;
        self.next_id += 1;
        let spread = Normal::new(0.0, 0.35).expect("a positive deviation");
        Cell {
            id,
            x,
            y,
            radius: BUD_UM,
            flatness: rng.random_range(0.0..0.1),
            angle: rng.random_range(0.0..TAU),
            level: f64::exp(spread.sample(rng)),
            vacuole: (rng.random_range(0.1..0.4), rng.random_range(0.0..TAU)),
            grain: rng.random_range(0.0..100.0),
            mother: None,
            final_radius: rng.random_range(2.25..2.65),
            rest: rng.random_range(2..5),
            caught: false,
        }
    }

    /// Cells grow, buds faster; reporter levels wander around the mean.
    fn grow(&mut self, rng: &mut impl Rng) {
        for cell in &mut self.cells {
            let growth = if cell.mother.is_some() { BUD_GROWTH_UM } else { CELL_GROWTH_UM };
            let pace: f64 = rng.random_range(0.7..1.3);
            cell.radius = (cell.radius + growth * pace).min(cell.final_radius.max(cell.radius));
            // A log-normal level with a memory of about eight frames.
            let kick: f64 = StandardNormal.sample(rng);
            cell.level = f64::exp(cell.level.ln() * 0.88 + 0.17 * kick);
            cell.angle += 0.04 * Distribution::<f64>::sample(&StandardNormal, rng);
            cell.vacuole.1 += 0.25 * Distribution::<f64>::sample(&StandardNormal, rng);
            if cell.mother.is_some() && cell.radius >= 1.7 {
                cell.mother = None;
            }
        }
    }

    /// Grown cells without a bud start one after a rest.
    fn bud(&mut self, rng: &mut impl Rng) {
        for i in 0..self.cells.len() {
            let (id, radius) = (self.cells[i].id, self.cells[i].radius);
            let busy = self.cells.iter().any(|c| c.mother == Some(id));
            if busy || self.cells[i].mother.is_some() || radius < 2.05 {
                continue;
            }
            if self.cells[i].rest > 0 {
                self.cells[i].rest -= 1;
                continue;
            }
            if self.cells.len() >= MOST_CELLS {
                continue;
            }
            let Some(direction) = self.free_direction(i, rng) else { continue };
            self.cells[i].rest = rng.random_range(1..4);
            let reach = self.cells[i].radius_at(direction) + 0.7 * BUD_UM;
            let (x, y) =
                (self.cells[i].x + reach * direction.cos(), self.cells[i].y + reach * direction.sin());
            let mut bud = self.cell(rng, x, y);
            bud.mother = Some(id);
            // A bud shares the cytoplasm of its mother.
            bud.level = self.cells[i].level;
            self.parents.insert(bud.id, id);
            self.cells.push(bud);
        }
    }

    /// Returns a direction in which a bud has room.
    fn free_direction(&self, mother: usize, rng: &mut impl Rng) -> Option<f64> {
        let cell = &self.cells[mother];
        (0..12).map(|_| rng.random_range(0.0..TAU)).find(|&direction| {
            let reach = cell.radius_at(direction) + 1.3;
            let (x, y) = (cell.x + reach * direction.cos(), cell.y + reach * direction.sin());
            let others = self.cells.iter().filter(|c| c.id != cell.id).all(|c| c.distance(x, y) > 0.9);
            others && self.bars.iter().all(|b| b.distance(x, y) > 0.7)
        })
    }

    /// Free cells drift down with the flow, the caught cell stays in the trap, and all cells move a little at random.
    fn flow(&mut self, rng: &mut impl Rng) {
        for i in 0..self.cells.len() {
            let held = self.cells[i].mother.is_some();
            let cell = &mut self.cells[i];
            let tremble: [f64; 2] = [StandardNormal.sample(rng), StandardNormal.sample(rng)];
            cell.x += 0.06 * tremble[0];
            cell.y += 0.06 * tremble[1];
            if cell.caught {
                cell.x += 0.3 * (self.centre.0 - cell.x);
                cell.y += 0.3 * (self.centre.1 + 0.4 - cell.y);
            } else if !held {
                // Beside the bars the flow is faster than behind a cell.
                let open = if (cell.x - self.centre.0).abs() > 3.0 { 1.6 } else { 1.0 };
                cell.y += FLOW_UM * open;
            }
        }
    }

    /// Pushes apart what overlaps: cells from each other and from the bars; keeps buds at their mothers.
    fn part(&mut self) {
        for _ in 0..40 {
            for i in 0..self.cells.len() {
                for j in i + 1..self.cells.len() {
                    self.part_pair(i, j);
                }
                for bar in self.bars {
                    let cell = &mut self.cells[i];
                    let (px, py) = bar.nearest(cell.x, cell.y);
                    let (dx, dy) = (cell.x - px, cell.y - py);
                    let apart = dx.hypot(dy).max(1e-6);
                    let overlap = bar.radius + cell.radius_at(dy.atan2(dx)) - apart;
                    if overlap > 0.0 {
                        cell.x += dx / apart * overlap;
                        cell.y += dy / apart * overlap;
                    }
                }
            }
        }
    }

    fn part_pair(&mut self, i: usize, j: usize) {
        let (a, b) = (&self.cells[i], &self.cells[j]);
        let (dx, dy) = (b.x - a.x, b.y - a.y);
        let apart = dx.hypot(dy).max(1e-6);
        let direction = dy.atan2(dx);
        let (ra, rb) = (a.radius_at(direction), b.radius_at(direction));
        let attached = a.mother == Some(b.id) || b.mother == Some(a.id);
        // A bud's neck lies inside the outline of its mother.
        let neck = if attached { 0.25 * ra.min(rb) } else { 0.0 };
        let overlap = ra + rb - neck - apart;
        if overlap <= 0.0 && !attached {
            return;
        }
        // The smaller one gives way; a cell that the trap holds hardly moves.
        let weight = |c: &Cell| c.radius.powi(2) * if c.caught { 6.0 } else { 1.0 };
        let share = weight(b) / (weight(a) + weight(b));
        let (ux, uy) = (dx / apart, dy / apart);
        self.cells[i].x -= ux * overlap * share;
        self.cells[i].y -= uy * overlap * share;
        self.cells[j].x += ux * overlap * (1.0 - share);
        self.cells[j].y += uy * overlap * (1.0 - share);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn cells_do_not_overlap_but_for_the_neck() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for _ in 0..20 {
            let mut trap = Trap::new(&mut rng);
            for _ in 0..30 {
                trap.step(&mut rng);
                for a in &trap.cells {
                    for b in trap.cells.iter().filter(|b| b.id > a.id) {
                        let direction = (b.y - a.y).atan2(b.x - a.x);
                        let room =
                            (b.x - a.x).hypot(b.y - a.y) - a.radius_at(direction) - b.radius_at(direction);
                        let attached = a.mother == Some(b.id) || b.mother == Some(a.id);
                        assert!(room > if attached { -0.9 } else { -0.45 }, "{} and {}: {room}", a.id, b.id);
                    }
                }
            }
        }
    }

    #[test]
    fn the_caught_cell_stays() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for _ in 0..20 {
            let mut trap = Trap::new(&mut rng);
            (0..60).for_each(|_| trap.step(&mut rng));
            assert!(trap.cells.iter().any(|c| c.caught));
        }
    }

    #[test]
    fn distances_are_negative_inside_and_grow_outwards() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let cell = Trap::new(&mut rng).cells[0].clone();
        let r = cell.radius_at(1.0);
        let at = |k: f64| cell.distance(cell.x + k * r * 1.0_f64.cos(), cell.y + k * r * 1.0_f64.sin());
        assert!(at(0.0) < at(0.5) && at(0.5) < at(1.0) && at(1.0) < at(1.5));
        assert!(at(1.0).abs() < 1e-9 && (at(1.5) - 0.5 * r).abs() < 1e-9);
    }
}
