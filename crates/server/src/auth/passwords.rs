//! Passwords: argon2id in the PHC string form, with the crate's defaults (19 MiB, 2 passes), which
//! are those that OWASP's password storage cheat sheet asks for.

use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use rand::RngCore;

/// Fewest characters of a password.
pub(crate) const CHARS_MIN: usize = 10;
/// Most bytes of a password.
pub(crate) const BYTES_MAX: usize = 1024;

/// Says what is wrong with a new password.
pub(crate) fn check(password: &str) -> Result<(), String> {
    if password.chars().count() < CHARS_MIN {
        return Err(format!("a password needs at least {CHARS_MIN} characters"));
    }
    if password.len() > BYTES_MAX {
        return Err(format!("a password has at most {BYTES_MAX} bytes"));
    }
    Ok(())
}

/// Hashes a password. Slow on purpose: call it on a blocking thread.
pub(crate) fn hash(password: &str) -> Result<String, argon2::password_hash::Error> {
    let mut salt = [0u8; 16];
    rand::rng().fill_bytes(&mut salt);
    let salt = SaltString::encode_b64(&salt)?;
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt)?.to_string())
}

/// True when `password` is the one behind `known`. Without a known hash the same work is done on
/// another, so that the time does not tell which users exist. Call it on a blocking thread.
pub(crate) fn verify(password: &str, known: Option<&str>) -> bool {
    static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| hash("no user has this").ok());
    let Some(text) = known.or(NOBODY.as_deref()) else { return false };
    let Ok(parsed) = PasswordHash::new(text) else { return false };
    let right = Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok();
    right && known.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_of_a_known_user_is_right() {
        let known = hash("correct horse").unwrap();
        assert!(known.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{known}");
        assert!(verify("correct horse", Some(&known)));
        assert!(!verify("correct hors", Some(&known)));
        assert!(!verify("no user has this", None));
        assert!(!verify("x", Some("not a hash")));
    }

    #[test]
    fn weak_passwords_are_refused() {
        assert!(check("ninechars").is_err());
        assert!(check("ten chars!").is_ok());
        assert!(check(&"x".repeat(BYTES_MAX + 1)).is_err());
    }
}
