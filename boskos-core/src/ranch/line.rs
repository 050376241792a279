//! A line of numbers that join at the end and leave anywhere.

/// Sorted numbers with rank and selection in O(log n).
///
/// Numbers that left stay as gaps until half of the line is gaps; a Fenwick tree counts those
/// present.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Sorted; those that left included.
    numbers: Vec<u64>,
    /// Whether the number at the same index is present.
    present: Vec<bool>,
    /// Fenwick tree over `present`, one-based.
    sums: Vec<u32>,
    len: usize,
}

impl Line {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds `number`, which is not present. At the end O(log n), elsewhere O(n).
    pub(super) fn join(&mut self, number: u64) {
        match self.numbers.binary_search(&number) {
            Ok(index) => {
                debug_assert!(!self.present[index], "number {number} joins twice");
                self.present[index] = true;
                self.add(index, 1);
            }
            Err(index) if index == self.numbers.len() => {
                self.numbers.push(number);
                self.present.push(true);
                self.push_sum();
            }
            Err(index) => {
                self.numbers.insert(index, number);
                self.present.insert(index, true);
                self.rebuild();
            }
        }
        self.len += 1;
    }

    /// Takes `number` out; whether it was present.
    pub(super) fn leave(&mut self, number: u64) -> bool {
        let Ok(index) = self.numbers.binary_search(&number) else { return false };
        if !std::mem::take(&mut self.present[index]) {
            return false;
        }
        self.add(index, -1);
        self.len -= 1;
        if self.len * 2 < self.numbers.len() {
            self.compact();
        }
        true
    }

    /// How many are before `number`, plus one.
    pub(super) fn rank(&self, number: u64) -> Option<usize> {
        let index = self.numbers.binary_search(&number).ok()?;
        self.present[index].then(|| self.sum(index) + 1)
    }

    /// The number at `rank`, counted from one.
    pub(super) fn at(&self, rank: usize) -> Option<u64> {
        if rank == 0 || rank > self.len {
            return None;
        }
        let mut index = 0;
        let mut left = rank;
        let mut step = self.sums.len().next_power_of_two();
        while step > 0 {
            if let Some(&sum) = self.sums.get(index + step - 1)
                && (sum as usize) < left
            {
                index += step;
                left -= sum as usize;
            }
            step /= 2;
        }
        Some(self.numbers[index])
    }

    /// All present behind `number`, in order; `None`: all.
    pub(super) fn behind(&self, number: Option<u64>) -> impl Iterator<Item = u64> {
        let from = number.map_or(0, |number| self.numbers.partition_point(|other| *other <= number));
        let rest = self.numbers[from..].iter().zip(&self.present[from..]);
        rest.filter(|(_, present)| **present).map(|(number, _)| *number)
    }

    /// How many of the first `count` entries are present.
    fn sum(&self, count: usize) -> usize {
        let mut index = count;
        let mut total = 0;
        while index > 0 {
            total += self.sums[index - 1] as usize;
            index &= index - 1;
        }
        total
    }

    fn add(&mut self, index: usize, delta: i32) {
        let mut index = index + 1;
        while index <= self.sums.len() {
            let sum = &mut self.sums[index - 1];
            *sum = sum.wrapping_add_signed(delta);
            index += index & index.wrapping_neg();
        }
    }

    /// Extends the tree by a present entry at the end.
    fn push_sum(&mut self) {
        let position = self.sums.len() + 1;
        let mut sum = 1;
        let mut below = 1;
        while below < position & position.wrapping_neg() {
            sum += self.sums[position - below - 1];
            below *= 2;
        }
        self.sums.push(sum);
    }

    fn compact(&mut self) {
        let mut present = self.present.iter();
        self.numbers.retain(|_| *present.next().expect("as many marks as numbers"));
        self.present.clear();
        self.present.resize(self.numbers.len(), true);
        self.rebuild();
    }

    fn rebuild(&mut self) {
        self.sums.clear();
        for index in 0..self.present.len() {
            self.push_sum();
            if !self.present[index] {
                self.sums[index] -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::Line;

    /// Joins a number that is absent, or has one leave that is present or not.
    #[derive(Clone, Debug)]
    enum Move {
        Join(u64),
        JoinAtTheEnd,
        Leave(u64),
        LeaveRank(usize),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let one = prop_oneof![
            3 => (0_u64..64).prop_map(Move::Join),
            6 => Just(Move::JoinAtTheEnd),
            2 => (0_u64..64).prop_map(Move::Leave),
            5 => (0_usize..200).prop_map(Move::LeaveRank),
        ];
        vec(one, 0..200)
    }

    /// Makes a move in a sorted `Vec`, and in the line.
    fn make(step: &Move, line: &mut Line, sorted: &mut Vec<u64>) {
        let number = match step {
            Move::Join(number) | Move::Leave(number) => *number,
            Move::JoinAtTheEnd => sorted.last().map_or(32, |last| last + 1),
            Move::LeaveRank(rank) => sorted.get(rank % sorted.len().max(1)).copied().unwrap_or(7),
        };
        match (step, sorted.binary_search(&number)) {
            (Move::Join(_) | Move::JoinAtTheEnd, Err(index)) => {
                sorted.insert(index, number);
                line.join(number);
            }
            // Nothing joins twice.
            (Move::Join(_) | Move::JoinAtTheEnd, Ok(_)) => {}
            (Move::Leave(_) | Move::LeaveRank(_), Ok(index)) => {
                sorted.remove(index);
                assert!(line.leave(number));
            }
            (Move::Leave(_) | Move::LeaveRank(_), Err(_)) => assert!(!line.leave(number)),
        }
    }

    fn assert_same(line: &Line, sorted: &[u64]) {
        assert_eq!(line.behind(None).collect::<Vec<_>>(), sorted);
        assert_eq!((line.len(), line.is_empty()), (sorted.len(), sorted.is_empty()));
        assert_eq!((line.at(0), line.at(sorted.len() + 1)), (None, None));
        for (index, number) in sorted.iter().enumerate() {
            assert_eq!(line.at(index + 1), Some(*number));
        }
        let end = sorted.last().map_or(64, |last| last + 2);
        for number in 0..end {
            assert_eq!(line.rank(number), sorted.binary_search(&number).ok().map(|index| index + 1), "of {number}");
        }
    }

    proptest! {
        #[test]
        fn line_ranks_as_a_sorted_list_does(moves in moves()) {
            let (mut line, mut sorted) = (Line::default(), Vec::new());
            for step in &moves {
                make(step, &mut line, &mut sorted);
                assert_same(&line, &sorted);
            }
        }
    }

    #[test]
    fn gaps_are_closed_when_they_are_half_of_the_line_and_no_sooner() {
        let mut line = Line::default();
        for number in 0..1_000 {
            line.join(number);
        }
        for number in 0..500 {
            line.leave(number);
            assert_eq!(line.numbers.len(), 1_000, "{number}");
        }
        for number in 500..1_000 {
            assert!(line.leave(number));
            assert!(line.numbers.len() <= 2 * line.len() + 1, "{} places for {}", line.numbers.len(), line.len());
        }
    }
}
