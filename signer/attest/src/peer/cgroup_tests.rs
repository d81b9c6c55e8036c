use super::*;
use proptest::{collection::vec, prelude::*};

const ID: &str = "3f1c0d9e8b7a6f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a0f9e8d7c";
const POD: &str = "0b5b7b0e-8d4f-4f6e-9c9b-3d8e1c2a7f60";

fn filled(text: &str) -> String {
    let text = text
        .replace("ID", ID)
        .replace("P_D", &POD.replace('-', "_"));
    text.replace("P-D", POD)
}

/// Of a host with v2 only.
fn unified(path: &str) -> Result<Place, CgroupError> {
    Place::parse(filled(&format!("0::{path}\n")).as_bytes())
}

fn all(text: &str) -> Result<Place, CgroupError> {
    Place::parse(filled(text).as_bytes())
}

fn shown(place: Result<Place, CgroupError>) -> (String, bool, bool) {
    let place = place.unwrap();
    let unit = place.unit.map(|unit| unit.to_string()).unwrap_or_default();
    let id = ContainerId::new(ID).unwrap();
    assert!(place.container.is_none_or(|container| container == id));
    let uid = PodUid::new(POD).unwrap();
    assert!(place.pod.is_none_or(|pod| pod == uid));
    let shown = unit.replace(ID, "ID");
    (shown, place.container.is_some(), place.pod.is_some())
}

fn told(path: &str) -> (String, bool, bool) {
    shown(unified(path))
}

const NOTHING: (&str, bool, bool) = ("", false, false);

fn is(found: &(String, bool, bool), expected: (&str, bool, bool), of: &str) {
    assert_eq!((found.0.as_str(), found.1, found.2), expected, "{of}");
}

#[test]
fn a_unit_is_the_first_one_below_slices() {
    for (path, unit) in [
        ("/system.slice/nginx.service", "nginx.service"),
        (
            "/system.slice/system-app.slice/app@1.service",
            "app@1.service",
        ),
        ("/system.slice/app\\x2dweb.service", "app\\x2dweb.service"),
        ("/init.scope", "init.scope"),
        ("/a.slice/a-b.slice/a-b-c.slice/x.service", "x.service"),
        (
            "/user.slice/user-1000.slice/session-3.scope",
            "session-3.scope",
        ),
        (
            "/machine.slice/machine-x.scope/payload/system.slice/nginx.service",
            "machine-x.scope",
        ),
        // made by who has the rest for himself
        (
            "/user.slice/user-1000.slice/user@1000.service/nginx.service",
            "user@1000.service",
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/system.slice/nginx.service",
            "user@1000.service",
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/docker-ID.scope",
            "user@1000.service",
        ),
        ("/system.slice/mine.service/docker/ID", "mine.service"),
        (
            "/system.slice/mine.service/libpod-payload-ID",
            "mine.service",
        ),
        ("/system.slice/mine.service/nginx.service", "mine.service"),
        (
            "/system.slice/mine.service/kubepods.slice/kubepods-podP_D.slice/cri-containerd-ID.scope",
            "mine.service",
        ),
        (
            "/system.slice/mine.service/kubepods-burstable-podP_D.slice:cri-containerd:ID",
            "mine.service",
        ),
        ("/system.slice/a.mount/nginx.service", "a.mount"),
    ] {
        is(&told(path), (unit, false, false), path);
    }
}

#[test]
fn a_container_is_where_root_s_runtime_puts_it() {
    for (path, unit, pod) in [
        ("/system.slice/docker-ID.scope", "docker-ID.scope", false),
        (
            "/system.slice/docker-ID.scope/system.slice/nginx.service",
            "docker-ID.scope",
            false,
        ),
        ("/system.slice/nerdctl-ID.scope", "nerdctl-ID.scope", false),
        (
            "/machine.slice/libpod-ID.scope/container",
            "libpod-ID.scope",
            false,
        ),
        ("/own.slice/docker-ID.scope", "docker-ID.scope", false),
        (
            "/kubepods.slice/kubepods-podP_D.slice/crio-ID.scope",
            "crio-ID.scope",
            true,
        ),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podP_D.slice/cri-containerd-ID.scope",
            "cri-containerd-ID.scope",
            true,
        ),
        (
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podP_D.slice/docker-ID.scope/x",
            "docker-ID.scope",
            true,
        ),
        ("/docker/ID", "", false),
        ("/docker/ID/docker/other", "", false),
        ("/libpod_parent/libpod-ID", "", false),
        ("/default/ID", "", false),
        ("/k8s.io/ID/x", "", false),
        ("/kubepods/podP-D/ID", "", true),
        ("/kubepods/burstable/podP-D/ID/below", "", true),
        ("/kubepods/besteffort/podP-D/crio-ID", "", true),
    ] {
        is(&told(path), (unit, true, pod), path);
    }
}

#[test]
fn what_is_called_like_one_elsewhere_is_none() {
    for path in [
        "/",
        "/system.slice",
        "/docker",
        "/docker/short",
        "/docker/x/ID",
        "/docker/buildkit/ID",
        "/lxc/docker/ID",
        "/lxc.payload.x/system.slice/nginx.service",
        "/user/1000.user/docker/ID",
        "/system.slice/docker/ID",
        "/system.slice/x/nginx.service",
        "/libpod_parent/libpod-conmon-ID",
        "/libpod_parent/ID",
        "/kubepods/podP-D",
        "/kubepods/burstable/podP-D",
        "/kubepods/other/podP-D/ID",
        "/kubepods/podP_D/ID",
        "/kubepods.slice/kubepods-podP_D.slice",
        "/x/kubepods/podP-D/ID",
        "/process_api/x",
    ] {
        is(&told(path), NOTHING, path);
    }
    for (path, unit) in [
        (
            "/machine.slice/libpod-conmon-ID.scope",
            "libpod-conmon-ID.scope",
        ),
        ("/system.slice/docker-ID.service", "docker-ID.service"),
        ("/system.slice/xdocker-ID.scope", "xdocker-ID.scope"),
        ("/user.slice/docker-ID.scope", "docker-ID.scope"),
        (
            "/user.slice/user-1000.slice/docker-ID.scope",
            "docker-ID.scope",
        ),
        ("/docker-ID.scope", "docker-ID.scope"),
    ] {
        is(&told(path), (unit, false, false), path);
    }
    let shouted = format!("0::/docker/{}\n", ID.to_uppercase());
    assert_eq!(Place::parse(shouted.as_bytes()), Ok(Place::default()));
    // a pod is one below the slice of pods alone
    let elsewhere = "/x.slice/x-podP_D.slice/crio-ID.scope";
    is(&told(elsewhere), ("crio-ID.scope", true, false), elsewhere);
}

#[test]
fn what_cannot_be_believed_is_refused_by_name() {
    let long = format!("/system.slice/{}", "a".repeat(LONGEST_PATH));
    for (path, why) in [
        ("/../../system.slice/nginx.service", CgroupError::Climbs),
        ("/..", CgroupError::Climbs),
        (
            "/system.slice/x.service/../nginx.service",
            CgroupError::Climbs,
        ),
        (
            "/system.slice/nginx.service (deleted)",
            CgroupError::Deleted,
        ),
        ("/docker/ID (deleted)", CgroupError::Deleted),
        (&long, CgroupError::TooLong),
        ("", CgroupError::Form),
        ("system.slice/nginx.service", CgroupError::Form),
        ("//nginx.service", CgroupError::Form),
        ("/system.slice/", CgroupError::Form),
        ("/./nginx.service", CgroupError::Form),
        ("/system.slice/a\\x2D.service", CgroupError::Name),
        ("/system.slice/a\\.service", CgroupError::Name),
        ("/system.slice/a b.service", CgroupError::Name),
        ("/system.slice/é.service", CgroupError::Name),
        ("/system.slice/.service", CgroupError::Name),
        ("/system.slice/app@.service", CgroupError::Name),
        ("/system.slice/_cpu.service", CgroupError::Name),
        ("/system.slice/.x.service", CgroupError::Name),
        ("/é.slice/x.service", CgroupError::Name),
        ("/system.slice/a\u{1b}.service", CgroupError::Name),
        ("/.slice/x.service", CgroupError::Slices),
        ("/a-b.slice/x.service", CgroupError::Slices),
        ("/system.slice/user-1.slice/x.service", CgroupError::Slices),
        ("/a.slice/a-b-c.slice/x.service", CgroupError::Slices),
        ("/-.slice/x.service", CgroupError::Slices),
    ] {
        assert_eq!(unified(path), Err(why), "{path}");
    }
}

#[test]
fn hierarchies_have_to_agree() {
    let legacy = "12:pids:/system.slice/nginx.service\n4:cpu,cpuacct:/\n3:memory:/system.slice\n\
                  1:name=systemd:/system.slice/nginx.service\n0::/system.slice/nginx.service\n";
    is(&shown(all(legacy)), ("nginx.service", false, false), legacy);
    let docker = "9:rdma:/\n8:memory:/docker/ID\n1:name=systemd:/docker/ID\n0::/\n";
    is(&shown(all(docker)), ("", true, false), docker);
    let without_systemd = "2:memory:/docker/ID\n1:name=openrc:/docker\n";
    is(
        &shown(all(without_systemd)),
        ("", true, false),
        without_systemd,
    );
    for (text, why) in [
        // as some versions of docker leave it on hosts with v1 and v2
        (
            "2:memory:/docker/ID\n1:name=systemd:/docker/ID\n0::/system.slice/containerd.service\n",
            CgroupError::Contradiction,
        ),
        (
            "1:name=systemd:/system.slice/a.service\n0::/system.slice/b.service\n",
            CgroupError::Contradiction,
        ),
        (
            "2:memory:/system.slice/a.service\n0::/system.slice/b.service\n",
            CgroupError::Contradiction,
        ),
        (
            "2:memory:/docker/ID\n0::/system.slice/b.service\n",
            CgroupError::Contradiction,
        ),
        (
            "3:pids:/kubepods/podP-D/ID\n2:memory:/docker/ID\n",
            CgroupError::Contradiction,
        ),
        (
            "2:memory:/system.slice/a.service\n1:name=systemd:/\n0::/\n",
            CgroupError::Unvouched,
        ),
        (
            "2:memory:/../x\n0::/system.slice/b.service\n",
            CgroupError::Climbs,
        ),
        ("0::/\n0::/\n", CgroupError::Form),
        ("2:name=systemd:/\n1:name=systemd:/\n", CgroupError::Form),
    ] {
        assert_eq!(all(text), Err(why), "{text}");
    }
}

#[test]
fn what_the_kernel_does_not_write_is_refused() {
    let many = "1:cpu:/\n".repeat(MOST_LINES + 1);
    let long = format!("1:cpu:/{}\n", "a".repeat(LONGEST));
    for (text, why) in [
        ("", CgroupError::Form),
        ("\n", CgroupError::Form),
        ("0::/", CgroupError::Form),
        ("0::/\n\n", CgroupError::Form),
        ("0:/\n", CgroupError::Form),
        ("::/\n", CgroupError::Form),
        ("-1:cpu:/\n", CgroupError::Form),
        ("1::/\n", CgroupError::Form),
        ("0:cpu:/\n", CgroupError::Form),
        (&many, CgroupError::TooLong),
        (&long, CgroupError::TooLong),
    ] {
        assert_eq!(all(text), Err(why), "{text:.40}");
    }
    assert_eq!(Place::parse(b"0::/\xff\n"), Err(CgroupError::Name));
    let colons = "0::/system.slice/a:b.service\n";
    is(&shown(all(colons)), ("a:b.service", false, false), colons);
}

fn folder() -> impl Strategy<Value = String> {
    let known = [
        "system.slice",
        "user.slice",
        "docker",
        "kubepods",
        "kubepods.slice",
        "nginx.service",
        "docker-ID.scope",
        "libpod-ID.scope",
        "ID",
        "podP-D",
        "kubepods-podP_D.slice",
        "burstable",
        "user@1000.service",
        "init.scope",
        "..",
        "x",
    ];
    prop_oneof![
        proptest::sample::select(known.to_vec()).prop_map(filled),
        "[a-z@._\\\\-]{1,12}",
    ]
}

proptest! {
    /// Whoever has a unit or a container for himself makes folders below it: he is told where he was, or nothing.
    #[test]
    fn nothing_below_counts(below in vec(folder(), 1..6)) {
        for own in [
            "/system.slice/own.service", "/user.slice/user-1000.slice/user@1000.service",
            "/system.slice/docker-ID.scope", "/docker/ID", "/kubepods/burstable/podP-D/ID",
            "/kubepods.slice/kubepods-podP_D.slice/cri-containerd-ID.scope",
        ] {
            let place = unified(&format!("{own}/{}", below.join("/")));
            prop_assert!(place.is_err() || place == unified(own), "{own} {place:?}");
        }
    }

    /// No path through the users' slice is a container's.
    #[test]
    fn users_have_no_containers(path in vec(folder(), 1..6)) {
        if let Ok(place) = unified(&format!("/user.slice/{}", path.join("/"))) {
            prop_assert!(place.container.is_none() && place.pod.is_none(), "{place:?}");
        }
    }

    /// More hierarchies never tell another place than fewer do.
    #[test]
    fn what_is_told_stands_in_every_hierarchy_that_tells_anything(paths in vec(vec(folder(), 0..4), 1..4)) {
        let line = |(at, path): (usize, &Vec<String>)| format!("{}:c{at}:/{}\n", at + 1, path.join("/"));
        let lines: Vec<_> = paths.iter().enumerate().map(line).collect();
        if let Ok(whole) = Place::parse(lines.concat().as_bytes()) {
            for line in &lines {
                let one = Place::parse(line.as_bytes());
                prop_assert!(one == Ok(Place::default()) || one.as_ref() == Ok(&whole), "{one:?} {whole:?}");
            }
        }
    }
}
