//! Whatever stands in a process's control groups: they tell one place or are refused with a reason. Who has a unit or a container for
//! himself and makes folders below it is never told to be anywhere else, and no path through the users' slice is a container's.
#![no_main]

use credence_attest::peer::Place;
use libfuzzer_sys::fuzz_target;

/// Parts of the tree that somebody has for himself.
const OWN: [&str; 5] = [
    "/system.slice/own.service",
    "/user.slice/user-1000.slice/user@1000.service",
    "/system.slice/docker-3f1c0d9e8b7a6f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a0f9e8d7c.scope",
    "/docker/3f1c0d9e8b7a6f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a0f9e8d7c",
    "/kubepods/pod0b5b7b0e-8d4f-4f6e-9c9b-3d8e1c2a7f60/3f1c0d9e8b7a6f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a0f9e8d7c",
];

/// Of one hierarchy. A kernel lets nobody put a line's end into a name.
fn place(path: &str) -> Option<Place> {
    let path = path.replace('\n', "");
    Place::parse(format!("0::{path}\n").as_bytes()).ok()
}

fuzz_target!(|text: &str| {
    match Place::parse(text.as_bytes()) {
        Ok(place) => {
            assert!(place.pod.is_none() || place.container.is_some());
            // another hierarchy that tells nothing changes nothing
            let more = format!("99:more:/\n{text}");
            let same = Place::parse(more.as_bytes());
            assert!(same.is_err() && text.len() > 1 << 6 || same == Ok(place));
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
    for own in OWN {
        let below = place(&format!("{own}/{text}"));
        assert!(below.is_none() || below == place(own), "{own}");
    }
    if let Some(place) = place(&format!("/user.slice/{text}")) {
        assert!(place.container.is_none() && place.pod.is_none());
    }
});
