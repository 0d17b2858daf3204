//! Where a request can carry its API key.

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Every credential a request shows: `authorization: Bearer`, `x-api-key` (Anthropic SDKs), `api-key` (Azure SDKs).
pub(super) fn presented(headers: &HeaderMap) -> Vec<&str> {
    let bearer = headers.get_all(AUTHORIZATION).iter().filter_map(|value| strip_bearer(value.to_str().ok()?));
    let named = ["x-api-key", "api-key"].into_iter().flat_map(|name| headers.get_all(name).iter());
    bearer.chain(named.filter_map(|value| value.to_str().ok().map(str::trim))).collect()
}

fn strip_bearer(value: &str) -> Option<&str> {
    let (scheme, credential) = value.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| credential.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_in_every_header_that_can_carry_one() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "bearer  a".parse().unwrap());
        headers.append("authorization", "Basic zzz".parse().unwrap());
        headers.insert("x-api-key", "b".parse().unwrap());
        headers.insert("api-key", " c ".parse().unwrap());
        assert_eq!(presented(&headers), ["a", "b", "c"]);
        assert!(presented(&HeaderMap::new()).is_empty());
    }
}
