//! Whatever the command line and the configuration of a sentry are: they are refused with a reason, or make settings that have an
//! identity and believe everybody only where that is sentry's default. A flag says the same with one dash and with two, and a
//! configuration the same as YAML and as JSON.
#![no_main]

use credence_policy_import::yaml;
use credence_sentry::{
    Environment, Flags, Parsed, Settings, configuration::Configuration, flags::Mode,
};
use libfuzzer_sys::fuzz_target;

fn flags(lines: &str, dashes: &str) -> Option<Flags> {
    let values = lines.lines().filter(|line| line.contains('='));
    let named = values.filter(|line| !line.starts_with(['-', '=']));
    let words: Vec<_> = named.map(|line| format!("{dashes}{line}")).collect();
    match Flags::parse(&words, &Environment::new()) {
        Ok(Parsed::Run(flags)) => Some(*flags),
        Ok(Parsed::Help) => None,
        Err(faults) => {
            assert!(!faults.all().is_empty());
            None
        }
    }
}

fn configuration(text: &str) -> Option<(Configuration, Vec<String>)> {
    let read = Configuration::from_yaml(text, &Environment::new());
    let documents = yaml::documents(text);
    if let (false, Ok([document])) = (text.contains('$'), documents.as_deref()) {
        let json = serde_json::to_vec(&document.value).expect("JSON");
        assert_eq!(Configuration::from_json(&json), read);
    }
    read.map_err(|faults| assert!(!faults.all().is_empty()))
        .ok()
}

fuzz_target!(|texts: (&str, &str)| {
    let (lines, yaml) = texts;
    let given = flags(lines, "--");
    assert_eq!(given, flags(lines, "-"));
    // Fields seldom come out of random octets: they are tried where they would stand, too.
    let indented: String = yaml.lines().map(|line| format!("    {line}\n")).collect();
    let whole = format!("kind: Configuration\nspec:\n  mtls:\n{indented}");
    let Some(given) = given else { return };
    for text in [yaml, &whole] {
        let Some((configuration, odd)) = configuration(text) else {
            continue;
        };
        let has_keys = configuration.jwks.is_some();
        match Settings::new(given.clone(), configuration, odd) {
            Ok(settings) => {
                assert!(settings.identity().is_ok());
                let everybody = given.mode == Mode::Standalone && !has_keys;
                assert_eq!(settings.admission.is_insecure(), everybody);
                assert!(!everybody || settings.warnings.iter().any(|w| w.starts_with("INSECURE")));
            }
            Err(faults) => assert!(!faults.all().is_empty()),
        }
    }
});
