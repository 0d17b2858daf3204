//! Sums over the recent past, in a ring of slots.

/// Two sums over the last `N` slots of time.
#[derive(Debug)]
pub(super) struct Window<const N: usize> {
    /// The slot's number since the beginning, and its sums.
    slots: [(u64, u64, u64); N],
}

impl<const N: usize> Default for Window<N> {
    fn default() -> Self {
        Self { slots: [(0, 0, 0); N] }
    }
}

impl<const N: usize> Window<N> {
    /// Adds to the slot of this number.
    pub(super) fn add(&mut self, number: u64, first: u64, second: u64) {
        let position = usize::try_from(number % N as u64).unwrap_or_default();
        let Some(slot) = self.slots.get_mut(position) else { return };
        if slot.0 != number {
            *slot = (number, 0, 0);
        }
        slot.1 = slot.1.saturating_add(first);
        slot.2 = slot.2.saturating_add(second);
    }

    /// The sums of the slots up to this number.
    pub(super) fn sums(&self, number: u64) -> (u64, u64) {
        let recent = self.slots.iter().filter(|slot| slot.0 <= number && slot.0 + N as u64 > number);
        recent.fold((0, 0), |sums, slot| (sums.0.saturating_add(slot.1), sums.1.saturating_add(slot.2)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut window = Window::<3>::default();
        for number in 0..5 {
            window.add(number, 1, 10);
        }
        assert_eq!(window.sums(4), (3, 30));
        assert_eq!(window.sums(5), (2, 20));
        assert_eq!(window.sums(100), (0, 0));
    }
}
