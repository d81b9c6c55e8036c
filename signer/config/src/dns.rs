//! Section `[[dns_templates]]`: which DNS names may stand beside an identity. It knows of nothing else
//! in the configuration, so that whatever has a CA can have it.

use crate::{Faults, keep, raw::RawDnsTemplate};
use credence_ca::dns::{DnsName, DnsTemplate, DnsTemplates, TemplatesError};

pub(crate) fn parse(raw: &[RawDnsTemplate]) -> Result<DnsTemplates, Faults> {
    let mut faults = Vec::new();
    let templates: Vec<_> = (0..)
        .zip(raw)
        .filter_map(|(index, raw)| keep(&mut faults, template(index, raw)))
        .collect();
    // only of a whole list do the numbers fit
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    DnsTemplates::new(templates).map_err(|e| Faults(vec![told(&e)]))
}

fn template(index: usize, raw: &RawDnsTemplate) -> Result<DnsTemplate, String> {
    DnsTemplate::parse(&raw.path, &raw.name).map_err(|e| {
        format!(
            "dns_templates[{index}] (path {:?}, name {:?}): {e}",
            raw.path, raw.name
        )
    })
}

fn told(error: &TemplatesError) -> String {
    match error {
        TemplatesError::TooMany(count) => format!(
            "dns_templates: there are {count}; at most {} are accepted",
            DnsTemplates::MOST
        ),
        TemplatesError::Repeated(first, second) => format!(
            "dns_templates[{second}]: is dns_templates[{first}] again; leave one of them out"
        ),
    }
}

/// The names that an identity at `place` asks for, each of them among those `granted` to it. Where the
/// templates themselves are at fault nothing is known of that.
pub(crate) fn asked(
    names: &[String],
    granted: Option<&[DnsName]>,
    place: &str,
) -> Result<Vec<DnsName>, Faults> {
    let mut faults = Vec::new();
    let mut asked = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let place = format!("{place}.dns_names[{index}]");
        match DnsName::parse(name) {
            Err(e) => faults.push(format!("{place}: {e}")),
            Ok(name) if asked.contains(&name) => {
                faults.push(format!("{place}: {name} stands there twice"));
            }
            Ok(name) => {
                if granted.is_some_and(|granted| !granted.contains(&name)) {
                    faults.push(format!(
                        "{place}: no template of dns_templates grants {name} to this identity"
                    ));
                }
                asked.push(name);
            }
        }
    }
    if faults.is_empty() {
        Ok(asked)
    } else {
        Err(Faults(faults))
    }
}
