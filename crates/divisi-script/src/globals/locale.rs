//! What `prelude/locale.js` needs of the languages: the order of texts, and the form of numbers.
//!
//! The data are compiled in (ICU4X), so a script gives the same on every machine, whatever language
//! that machine is set to.

use crate::convert;
use fixed_decimal::{Decimal, SignedRoundingMode, UnsignedRoundingMode};
use icu_collator::options::{AlternateHandling, CaseLevel, CollatorOptions, Strength};
use icu_collator::preferences::{CollationCaseFirst, CollationNumericOrdering};
use icu_collator::{Collator, CollatorPreferences};
use icu_decimal::options::{DecimalFormatterOptions, GroupingStrategy};
use icu_decimal::{DecimalFormatter, DecimalFormatterPreferences};
use icu_locale_core::Locale;
use rquickjs::{Ctx, Exception, Function, Object, Result, String as JsString};
use std::str::FromStr;

/// Most digits after which a number is cut, whatever its exponent; the largest double has 309.
const DIGITS_MAX: i16 = 400;

/// An object with `locale(tag)`, the canonical form of a language tag or `null`; `collator(locale,
/// sensitivity, numeric, caseFirst, ignorePunctuation)`, which returns a function that compares two
/// texts; and `decimal(locale, grouping)`, which returns a function that writes a number.
pub(super) fn natives<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let natives = Object::new(ctx.clone())?;
    natives.set("locale", Function::new(ctx.clone(), canonical)?)?;
    natives.set("collator", Function::new(ctx.clone(), collator)?)?;
    natives.set("decimal", Function::new(ctx.clone(), decimal)?)?;
    Ok(natives)
}

fn canonical(tag: String) -> Option<String> {
    Some(Locale::try_from_str(&tag).ok()?.to_string())
}

/// The locale of a canonical tag.
fn locale(tag: &str) -> Locale {
    Locale::try_from_str(tag).unwrap_or(Locale::UNKNOWN)
}

fn collator<'js>(
    ctx: Ctx<'js>,
    tag: String,
    sensitivity: String,
    numeric: Option<bool>,
    case_first: Option<String>,
    ignores_punctuation: Option<bool>,
) -> Result<Function<'js>> {
    let mut preferences = CollatorPreferences::from(&locale(&tag));
    if let Some(numeric) = numeric {
        preferences.numeric_ordering = Some(match numeric {
            true => CollationNumericOrdering::True,
            false => CollationNumericOrdering::False,
        });
    }
    preferences.case_first = match case_first.as_deref() {
        Some("upper") => Some(CollationCaseFirst::Upper),
        Some("lower") => Some(CollationCaseFirst::Lower),
        Some(_) => Some(CollationCaseFirst::False),
        None => preferences.case_first,
    };
    let mut options = CollatorOptions::default();
    options.strength = Some(match sensitivity.as_str() {
        "base" | "case" => Strength::Primary,
        "accent" => Strength::Secondary,
        _ => Strength::Tertiary,
    });
    options.case_level = (sensitivity == "case").then_some(CaseLevel::On);
    options.alternate_handling = ignores_punctuation.map(|ignores| match ignores {
        true => AlternateHandling::Shifted,
        false => AlternateHandling::NonIgnorable,
    });
    let collator = Collator::try_new(preferences, options)
        .map_err(|error| Exception::throw_range(&ctx, &error.to_string()))?;
    let compare = move |ctx: Ctx<'js>, one: JsString<'js>, other: JsString<'js>| -> Result<i32> {
        let (one, other) = (convert::text(&ctx, &one)?, convert::text(&ctx, &other)?);
        Ok(collator.compare(&one, &other) as i32)
    };
    Function::new(ctx.clone(), compare)
}

fn decimal<'js>(ctx: Ctx<'js>, tag: String, grouping: String) -> Result<Function<'js>> {
    let preferences = DecimalFormatterPreferences::from(&locale(&tag));
    let mut options = DecimalFormatterOptions::default();
    options.grouping_strategy = Some(match grouping.as_str() {
        "never" => GroupingStrategy::Never,
        "always" => GroupingStrategy::Always,
        "min2" => GroupingStrategy::Min2,
        _ => GroupingStrategy::Auto,
    });
    let formatter = DecimalFormatter::try_new(preferences, options)
        .map_err(|error| Exception::throw_range(&ctx, &error.to_string()))?;
    let write = move |ctx: Ctx<'js>, number: String, digits: Digits| -> Result<String> {
        let number = Decimal::from_str(&number)
            .map_err(|_| Exception::throw_range(&ctx, &format!("`{number}` is no number")))?;
        Ok(formatter.format_to_string(&digits.of(number)))
    };
    Function::new(ctx.clone(), write)
}

/// The digits of a number that are written.
struct Digits {
    /// By how many places it is shifted to the left: 2 for percent.
    shift: i16,
    whole_min: i16,
    fraction_min: i16,
    fraction_max: i16,
    /// Instead of the fraction's, if not 0.
    significant_min: i16,
    significant_max: i16,
}

impl<'js> rquickjs::FromJs<'js> for Digits {
    fn from_js(ctx: &Ctx<'js>, value: rquickjs::Value<'js>) -> Result<Self> {
        let given = Object::from_js(ctx, value)?;
        let digits = |name| -> Result<i16> {
            let digits: f64 = given.get::<_, Option<f64>>(name)?.unwrap_or_default();
            Ok((digits as i16).clamp(-DIGITS_MAX, DIGITS_MAX))
        };
        Ok(Self {
            shift: digits("shift")?,
            whole_min: digits("wholeMin")?,
            fraction_min: digits("fractionMin")?,
            fraction_max: digits("fractionMax")?,
            significant_min: digits("significantMin")?,
            significant_max: digits("significantMax")?,
        })
    }
}

impl Digits {
    /// The number, rounded and filled up with zeros.
    fn of(&self, number: Decimal) -> Decimal {
        let mut number = number;
        number.absolute.multiply_pow10(self.shift);
        let half_away = SignedRoundingMode::Unsigned(UnsignedRoundingMode::HalfExpand);
        let first = |number: &Decimal| number.absolute.nonzero_magnitude_start();
        if self.significant_max > 0 {
            let last = first(&number) - self.significant_max + 1;
            number.round_with_mode(last, half_away);
            number.absolute.trim_end();
            number
                .absolute
                .pad_end((first(&number) - self.significant_min + 1).min(0));
        } else {
            number.round_with_mode(-self.fraction_max, half_away);
            number.absolute.trim_end();
            number.absolute.pad_end(-self.fraction_min);
        }
        number.absolute.pad_start(self.whole_min);
        number
    }
}
