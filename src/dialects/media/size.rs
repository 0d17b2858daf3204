//! Sizes of images: pixels, and the shapes and steps of those that are asked in other words.

use crate::fault::{Fault, Outcome};

/// A size that a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub width: u32,
    pub height: u32,
}

/// Shapes in the words of Gemini and xAI.
const SHAPES: [(&str, f64); 11] = [
    ("1:1", 1.0),
    ("2:3", 2.0 / 3.0),
    ("3:2", 1.5),
    ("3:4", 0.75),
    ("4:3", 4.0 / 3.0),
    ("4:5", 0.8),
    ("5:4", 1.25),
    ("9:16", 0.5625),
    ("16:9", 16.0 / 9.0),
    ("1:2", 0.5),
    ("2:1", 2.0),
];
/// How far a shape may be off what was asked.
const TOLERANCE: f64 = 0.02;

impl Size {
    /// Reads `WIDTHxHEIGHT`; `None` for `auto`.
    ///
    /// # Errors
    /// `BadRequest`.
    pub(super) fn read(text: &str) -> Outcome<Option<Self>> {
        if text == "auto" {
            return Ok(None);
        }
        let side = |text: &str| text.parse::<u32>().ok().filter(|side| (1..=16_384).contains(side));
        let sides = text.split_once('x').and_then(|(width, height)| Some((side(width)?, side(height)?)));
        let (width, height) =
            sides.ok_or_else(|| Fault::invalid("size", "must be `auto`, or pixels such as `1024x1024`"))?;
        Ok(Some(Self { width, height }))
    }

    pub(super) fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// The shape that is nearest, where one is near.
    pub(super) fn shape(self) -> Option<&'static str> {
        let ratio = f64::from(self.width) / f64::from(self.height);
        let off = |shape: f64| (ratio / shape - 1.0).abs();
        let nearest = SHAPES.iter().min_by(|(_, a), (_, b)| off(*a).total_cmp(&off(*b)))?;
        (off(nearest.1) <= TOLERANCE).then_some(nearest.0)
    }

    /// The step of resolution that is nearest, for those who have steps.
    pub(super) fn step(self) -> &'static str {
        match self.width.max(self.height) {
            0..=768 => "512",
            769..=1_536 => "1K",
            1_537..=3_000 => "2K",
            _ => "4K",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_shape_that_is_near() {
        for (text, shape, step) in [
            ("1024x1024", Some("1:1"), "1K"),
            ("1536x1024", Some("3:2"), "1K"),
            ("1024x1536", Some("2:3"), "1K"),
            ("1792x1024", Some("16:9"), "2K"),
            ("3840x2160", Some("16:9"), "4K"),
            ("512x512", Some("1:1"), "512"),
            ("1000x300", None, "1K"),
        ] {
            let size = Size::read(text).unwrap().unwrap();
            assert_eq!((size.shape(), size.step()), (shape, step), "{text}");
        }
        assert_eq!(Size::read("auto").unwrap(), None);
        for bad in ["", "big", "1024", "0x0", "1024X1024", "-1x5", "99999x1"] {
            assert!(Size::read(bad).is_err(), "{bad}");
        }
    }
}
