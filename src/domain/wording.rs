//! How the REST API words what the protobuf contract names: the one place that knows it besides the REST shapes themselves.

/// The REST name of a field: camel case; `create_time` is `createdAt`, `…_nanocents` is `…Cents`.
#[must_use]
pub fn rest_word(name: &str) -> String {
    match name {
        "create_time" => "createdAt".to_owned(),
        "update_time" => "updatedAt".to_owned(),
        "expire_time" => "expiresAt".to_owned(),
        "start_time" => "startedAt".to_owned(),
        "window_start_time" => "windowStart".to_owned(),
        "window_end_time" => "windowEnd".to_owned(),
        "previous_secret_expire_time" => "previousSecretExpiresAt".to_owned(),
        "cache_write_1h_nanocents_per_mtok" => "cacheWrite1hCentsPerMTokens".to_owned(),
        name => match (name.strip_suffix("_nanocents_per_mtok"), name.strip_suffix("_nanocents")) {
            (Some(stem), _) => camel(stem) + "CentsPerMTokens",
            (None, Some(stem)) => camel(stem) + "Cents",
            (None, None) => camel(name),
        },
    }
}

/// The REST name of a field that is a duration: it says its unit.
#[must_use]
pub fn rest_duration(name: &str) -> String {
    if name == "grace_period" { "gracePeriodSeconds".to_owned() } else { camel(name) + "Ms" }
}

/// `budget_reset` to `budgetReset`.
#[must_use]
pub fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let mut camel = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut chars = part.chars();
        camel.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        camel.push_str(chars.as_str());
    }
    camel
}

/// A value of an enumeration as the REST API words it: in lower case, without the name of the enumeration in front.
#[must_use]
pub fn enum_word(enumeration: &str, value: &str) -> String {
    let mut prefix = String::new();
    for c in enumeration.chars() {
        if c.is_ascii_uppercase() && !prefix.is_empty() {
            prefix.push('_');
        }
        prefix.push(c.to_ascii_uppercase());
    }
    prefix.push('_');
    value.strip_prefix(&prefix).unwrap_or(value).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_words_are_those_of_the_rest_api() {
        for (name, expected) in [
            ("public_model", "publicModel"),
            ("expire_time", "expiresAt"),
            ("max_budget_nanocents", "maxBudgetCents"),
            ("input_nanocents_per_mtok", "inputCentsPerMTokens"),
            ("rpm", "rpm"),
        ] {
            assert_eq!(rest_word(name), expected);
        }
        assert_eq!(
            (rest_duration("latency"), rest_duration("grace_period")),
            ("latencyMs".into(), "gracePeriodSeconds".into())
        );
        assert_eq!(enum_word("BudgetReset", "BUDGET_RESET_HOURLY"), "hourly");
        assert_eq!(enum_word("Action", "ACTION_CREATE"), "create");
    }
}
