//! Which traces are recorded, by `OTEL_TRACES_SAMPLER`
//! (<https://opentelemetry.io/docs/specs/otel/trace/sdk/#built-in-samplers>).

use super::context::TraceContext;

/// Decides at the start of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Whether the caller's decision is taken where there is one.
    pub follows_caller: bool,
    /// Share of the traces that are recorded, 0 to 1.
    pub ratio: f64,
}

impl Sampler {
    /// `parentbased_always_on`, the default.
    pub const DEFAULT: Self = Self { follows_caller: true, ratio: 1.0 };

    pub(super) fn samples(&self, trace_id: &[u8; 16], caller: Option<&TraceContext>) -> bool {
        if let (true, Some(caller)) = (self.follows_caller, caller) {
            return caller.is_sampled;
        }
        // By the trace's id, so that all who see the trace decide alike.
        let [.., a, b, c, d, e, f, g, h] = *trace_id;
        let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 11;
        super::super::metrics::cells::as_f64(number) < self.ratio * 9_007_199_254_740_992.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_taken_by_the_id_and_the_caller_decides_where_asked() {
        let low = [0; 16];
        let high = [255; 16];
        let caller = |is_sampled| TraceContext { trace_id: high, span_id: [1; 8], is_sampled, state: String::new() };
        for (follows_caller, ratio, id, by, expected) in [
            (false, 1.0, high, None, true),
            (false, 0.0, low, None, false),
            (false, 0.5, low, None, true),
            (false, 0.5, high, None, false),
            (false, 0.5, high, Some(true), false),
            (true, 0.0, high, Some(true), true),
            (true, 1.0, low, Some(false), false),
            (true, 0.0, low, None, false),
        ] {
            let sampler = Sampler { follows_caller, ratio };
            let caller = by.map(caller);
            assert_eq!(sampler.samples(&id, caller.as_ref()), expected, "{follows_caller} {ratio} {id:?} {by:?}");
        }
    }
}
