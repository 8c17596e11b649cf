//! Three stages side by side: draws of the next batch, synthesis of this one, labels and files of the last one.
//!
//! On a GPU the stages use different machinery and overlap. On a CPU synthesis and finishing both take all cores, so that
//! they take turns: threads of libtorch that wait for a core of somebody else's cost more than the overlap saves.

use std::sync::mpsc::sync_channel;
use std::thread::{self, ScopedJoinHandle};

use rayon::prelude::*;

/// Batches that wait between two stages.
const WAITING: usize = 1;

/// Runs all batches through `draw`, `make` and `finish`; the last one takes one item of a batch at a time, from several
/// threads. Batches are drawn and made in their order.
///
/// # Errors
/// The first error of `finish`; what is under way then is dropped.
pub fn run<B, D, T, E>(
    batches: Vec<B>,
    overlap: bool,
    draw: impl Fn(&B) -> D + Send,
    make: impl Fn(&B, D) -> Vec<T>,
    finish: impl Fn(T) -> Result<(), E> + Sync,
) -> Result<(), E>
where
    B: Send,
    D: Send,
    T: Send,
    E: Send,
{
    let finish_all = |items: Vec<T>| items.into_par_iter().try_for_each(&finish);
    if !overlap {
        return batches.into_iter().try_for_each(|batch| finish_all(make(&batch, draw(&batch))));
    }
    thread::scope(|scope| {
        let (drawn, to_make) = sync_channel(WAITING);
        let drawer = scope.spawn(move || {
            for batch in batches {
                let draws = draw(&batch);
                // Nobody takes it where a later stage failed.
                if drawn.send((batch, draws)).is_err() {
                    break;
                }
            }
        });
        let (made, to_finish) = sync_channel(WAITING);
        let finisher = scope.spawn(move || to_finish.into_iter().try_for_each(finish_all));
        for (batch, draws) in to_make {
            if made.send(make(&batch, draws)).is_err() {
                break;
            }
        }
        drop(made);
        let result = joined(finisher);
        joined(drawer);
        result
    })
}

/// Returns what a thread ended with; a panic goes on here, with its message.
fn joined<T>(thread: ScopedJoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn all(overlap: bool, bad: Option<u32>) -> (Result<(), u32>, Vec<u32>) {
        let seen = Mutex::new(Vec::new());
        let result = run(
            (0..20_u32).collect(),
            overlap,
            |batch| batch * 10,
            |batch, draws| vec![draws, draws + 1, draws + batch % 2],
            |item| {
                if bad == Some(item) {
                    return Err(item);
                }
                seen.lock().unwrap().push(item);
                Ok(())
            },
        );
        let mut seen = seen.into_inner().unwrap();
        seen.sort_unstable();
        (result, seen)
    }

    #[test]
    fn every_item_is_finished_once_with_and_without_overlap() {
        let (result, seen) = all(false, None);
        assert_eq!((result, seen.len()), (Ok(()), 60));
        assert_eq!(all(true, None), (Ok(()), seen));
    }

    #[test]
    fn a_panic_of_any_stage_goes_on_with_its_message() {
        for overlap in [false, true] {
            for stage in ["draw", "make", "finish"] {
                let at = |here: &str| assert!(stage != here, "{here} failed");
                let caught = std::panic::catch_unwind(|| {
                    let draw = |_: &u32| at("draw");
                    let make = |_: &u32, ()| {
                        at("make");
                        vec![0; 3]
                    };
                    let finish = |_: i32| {
                        at("finish");
                        Ok::<(), ()>(())
                    };
                    run(vec![1, 2, 3], overlap, draw, make, finish)
                });
                let message = caught.unwrap_err().downcast::<String>().unwrap();
                assert_eq!(*message, format!("{stage} failed"));
            }
        }
    }

    #[test]
    fn the_first_error_ends_the_run() {
        for overlap in [false, true] {
            let (result, seen) = all(overlap, Some(31));
            assert_eq!(result, Err(31));
            assert!(!seen.contains(&31) && seen.len() < 60);
        }
    }
}
