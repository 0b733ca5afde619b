//! The base of a bank of adapters.

use anyhow::{Context, Result, ensure};
use burn::tensor::Device;
use burn_adapters::file::bank::Bank;
use burn_adapters::file::native::BaseIdentity;
use burn_bert::Bert;

use crate::base::Base;

/// Loads the base of a bank; returns it with its fingerprint and its location. `name` replaces the name in the bank.
///
/// # Errors
/// A base that is not found or not read, or that is not the one for which the bank was made.
pub fn load(bank: &Bank, name: Option<&str>, device: &Device) -> Result<(Bert, String, Base)> {
    let named = &bank.index().base;
    let base = Base::locate(name.unwrap_or(&named.name))
        .with_context(|| format!("locating the base of {}", bank.path().display()))?;
    print_warnings(bank);
    let BaseIdentity { fingerprint, tokenizer, .. } = base.identity()?;
    named.check_tokenizer(bank.path(), tokenizer.as_deref())?;
    ensure!(
        fingerprint == named.fingerprint,
        "the bank {} is for the base `{}` with fingerprint {}, but this base has fingerprint {fingerprint}",
        bank.path().display(),
        named.name,
        named.fingerprint
    );
    Ok((burn_bert::load(base.directory(), device)?, fingerprint, base))
}

/// Prints what is wrong with a bank but does not prevent reading it.
pub fn print_warnings(bank: &Bank) {
    for warning in bank.warnings() {
        noteln!("warning: {warning}");
    }
}
