//! Work on all threads whose results are used in order.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use crate::error::Result;

/// Results that wait for their turn, per thread: enough that no thread stands still for a slower one, few enough for any memory.
const WAITING: usize = 4;

struct Turn<P> {
    next: usize,
    waiting: BTreeMap<usize, P>,
    writing: bool,
    ended: bool,
}

struct Order<P> {
    turn: Mutex<Turn<P>>,
    room: Condvar,
    most: usize,
}

/// Lets every worker leave when one does: for the end of the input, an error or a panic.
struct Leave<'a, P>(&'a Order<P>);

impl<P> Drop for Leave<'_, P> {
    fn drop(&mut self) {
        held(&self.0.turn).ended = true;
        self.0.room.notify_all();
    }
}

/// A worker that panicked lets the others leave, and nothing that it held is used again.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes blocks from `next`, makes something of each on `width` threads, and hands it to `write` in the order of the blocks.
///
/// `next` is given a block that is done with, whose memory it may use again. No thread waits for the one that writes: it goes on
/// with the next block, and whoever writes also writes what the others finish meanwhile.
pub(crate) fn in_order<B: Send, P: Send>(
    width: usize,
    next: impl FnMut(Option<B>) -> Result<Option<B>> + Send,
    make: impl Fn(&B) -> P + Sync,
    write: impl FnMut(P) -> Result<()> + Send,
) -> Result<()> {
    let source = Mutex::new((0, next));
    let write = Mutex::new(write);
    let turn = Turn { next: 0, waiting: BTreeMap::new(), writing: false, ended: false };
    let order = Order { turn: Mutex::new(turn), room: Condvar::new(), most: WAITING * width };
    (0..width).into_par_iter().with_max_len(1).try_for_each(|_| {
        let _leave = Leave(&order);
        let mut used = None;
        while order.wait_for_room() {
            let (number, block) = {
                let (number, next) = &mut *held(&source);
                let Some(block) = next(used.take())? else { break };
                *number += 1;
                (*number - 1, block)
            };
            let parsed = make(&block);
            used = Some(block);
            held(&order.turn).waiting.insert(number, parsed);
            let mut is_writer = false;
            while let Some(parsed) = order.take(is_writer) {
                is_writer = true;
                held(&write)(parsed)?;
            }
        }
        Ok(())
    })
}

impl<P> Order<P> {
    /// Waits until few results do; whether there is reason to go on.
    fn wait_for_room(&self) -> bool {
        let full = |turn: &mut Turn<P>| turn.waiting.len() >= self.most && !turn.ended;
        let turn = self.room.wait_while(held(&self.turn), full).unwrap_or_else(PoisonError::into_inner);
        !turn.ended
    }

    /// The next result, if it is there and nobody else writes; who is given one is the writer until given none.
    fn take(&self, is_writer: bool) -> Option<P> {
        let mut turn = held(&self.turn);
        if turn.writing && !is_writer {
            return None;
        }
        let next = turn.next;
        let made = turn.waiting.remove(&next);
        turn.next += usize::from(made.is_some());
        turn.writing = made.is_some();
        self.room.notify_all();
        made
    }
}
