//! What is counted into: atomics alone, so that a request never waits for another or for a scrape.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

/// Counts values by size.
#[derive(Debug)]
pub struct Histogram {
    scale: &'static Scale,
    /// One more than there are bounds: the last one has all that is larger.
    buckets: Box<[AtomicU64]>,
    /// In raw units.
    sum: AtomicU64,
}

/// The bounds of a histogram, and how its raw whole numbers read in the unit of its metric.
#[derive(Debug)]
pub struct Scale {
    /// Raw upper bounds, inclusive, rising.
    pub bounds: &'static [u64],
    /// Raw units in one unit of the metric.
    pub per_unit: f64,
}

/// How long calls take, in microseconds: the bounds that OpenTelemetry's conventions for generative AI name, and three more
/// for what thinks for minutes.
pub const SECONDS: Scale = Scale {
    bounds: &[
        10_000,
        20_000,
        40_000,
        80_000,
        160_000,
        320_000,
        640_000,
        1_280_000,
        2_560_000,
        5_120_000,
        10_240_000,
        20_480_000,
        40_960_000,
        81_920_000,
        163_840_000,
        327_680_000,
        655_360_000,
    ],
    per_unit: 1e6,
};
/// How long steps inside the gateway take, in microseconds.
pub const SHORT_SECONDS: Scale = Scale {
    bounds: &[
        100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    ],
    per_unit: 1e6,
};
/// Tokens of a request: the bounds that OpenTelemetry's conventions for generative AI name.
pub const TOKENS: Scale = Scale {
    bounds: &[1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864],
    per_unit: 1.0,
};

/// What a histogram has counted.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramReading {
    /// Upper bounds in the unit of the metric, infinity last, and how many values were in each; not cumulative.
    pub buckets: Vec<(f64, u64)>,
    /// All values together, in the unit of the metric.
    pub sum: f64,
    /// How many values there were.
    pub count: u64,
}

impl Histogram {
    /// Nothing is counted.
    #[must_use]
    pub fn new(scale: &'static Scale) -> Self {
        let buckets = (0..=scale.bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { scale, buckets, sum: AtomicU64::new(0) }
    }

    /// Counts a value in raw units.
    pub fn observe(&self, value: u64) {
        let at = self.scale.bounds.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts a time; for scales of seconds.
    pub fn observe_time(&self, time: Duration) {
        self.observe(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// What was counted. The sum may be ahead of the buckets by requests that end at this moment.
    #[must_use]
    pub fn read(&self) -> HistogramReading {
        let bounds = self.scale.bounds.iter().map(|bound| as_f64(*bound) / self.scale.per_unit);
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        HistogramReading { buckets, sum: as_f64(self.sum.load(Ordering::Relaxed)) / self.scale.per_unit, count }
    }
}

/// The nearest number: figures are read by people and by programs that know no others.
#[must_use]
pub fn as_f64(number: u64) -> f64 {
    number as f64
}

/// How many there are now.
#[derive(Debug, Default)]
pub struct Level(AtomicI64);

impl Level {
    /// One more.
    pub fn rise(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn fall(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many there are; those that fall may be seen before they rose.
    #[must_use]
    pub fn read(&self) -> f64 {
        as_f64(u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or_default())
    }
}

/// Rows of counters by the values of `N` labels, made as they are met. Finding a row takes no lock and allocates nothing.
///
/// There are at most so many rows: values beyond share one, whose labels all say [`OTHER`].
#[derive(Debug)]
pub struct Table<const N: usize, R> {
    /// By the first label, then few enough to look through.
    rows: ArcSwap<HashMap<Box<str>, Vec<Row<N, R>>>>,
    most: usize,
    other: Row<N, R>,
    lost: AtomicU64,
}

type Row<const N: usize, R> = Arc<([Box<str>; N], R)>;

/// The value of every label of the row that has what is beyond the bound.
pub const OTHER: &str = "other";

impl<const N: usize, R: Default> Table<N, R> {
    /// At most `most` rows.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let other = Arc::new((std::array::from_fn(|_| OTHER.into()), R::default()));
        Self { rows: ArcSwap::default(), most, other, lost: AtomicU64::new(0) }
    }

    /// Counts in the row of these values.
    pub fn with(&self, values: [&str; N], count: impl FnOnce(&R)) {
        let rows = self.rows.load();
        if let Some(row) = find(&rows, values) {
            count(&row.1);
        } else {
            count(&self.make(values).1);
        }
    }

    fn make(&self, values: [&str; N]) -> Row<N, R> {
        let fresh: Row<N, R> = Arc::new((values.map(Into::into), R::default()));
        self.rows.rcu(|rows| {
            let has_room = rows.values().map(Vec::len).sum::<usize>() < self.most;
            let mut more = HashMap::clone(rows);
            if has_room && find(&more, values).is_none() {
                more.entry(values.first().copied().unwrap_or_default().into()).or_default().push(Arc::clone(&fresh));
            }
            more
        });
        find(&self.rows.load(), values).cloned().unwrap_or_else(|| {
            self.lost.fetch_add(1, Ordering::Relaxed);
            Arc::clone(&self.other)
        })
    }

    /// Shows all rows, in no order.
    pub fn each(&self, mut show: impl FnMut(&[Box<str>; N], &R)) {
        for row in self.rows.load().values().flatten() {
            show(&row.0, &row.1);
        }
        if self.lost() > 0 {
            show(&self.other.0, &self.other.1);
        }
    }

    /// How often a value had no row of its own.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

fn find<'a, const N: usize, R>(
    rows: &'a HashMap<Box<str>, Vec<Row<N, R>>>,
    values: [&str; N],
) -> Option<&'a Row<N, R>> {
    let row_has = |row: &&Row<N, R>| row.0.iter().zip(values).all(|(known, value)| &**known == value);
    rows.get(*values.first()?)?.iter().find(row_has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::new(&SHORT_SECONDS);
        [0, 100, 101, 9_000_000].into_iter().for_each(|micros| histogram.observe(micros));
        let reading = histogram.read();
        assert_eq!(reading.count, 4);
        assert!((reading.sum - 9.000_201).abs() < 1e-9, "{}", reading.sum);
        assert_eq!(reading.buckets[0], (0.0001, 2));
        assert_eq!(reading.buckets[1], (0.000_25, 1));
        assert_eq!(*reading.buckets.last().unwrap(), (f64::INFINITY, 1));
        for scale in [&SECONDS, &SHORT_SECONDS, &TOKENS] {
            assert!(scale.bounds.is_sorted());
        }
    }

    #[test]
    fn what_is_beyond_the_bound_shares_one_row() {
        let table: Table<2, AtomicU64> = Table::new(2);
        for model in ["a", "b", "c", "d", "a"] {
            table.with([model, "x"], |row| _ = row.fetch_add(1, Ordering::Relaxed));
        }
        let mut seen = Vec::new();
        table.each(|labels, row| seen.push((labels[0].to_string(), row.load(Ordering::Relaxed))));
        seen.sort();
        assert_eq!(seen, [("a".to_owned(), 2), ("b".to_owned(), 1), (OTHER.to_owned(), 2)]);
        assert_eq!(table.lost(), 2);
    }

    #[test]
    fn rows_made_at_the_same_time_are_one() {
        let table: Table<1, AtomicU64> = Table::new(10);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        table.with(["m"], |row| _ = row.fetch_add(1, Ordering::Relaxed));
                    }
                });
            }
        });
        let mut total = 0;
        table.each(|_, row| total += row.load(Ordering::Relaxed));
        assert_eq!(total, 4_000);
    }
}
