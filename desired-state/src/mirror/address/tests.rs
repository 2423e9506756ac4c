use super::*;

fn key() -> Access {
    Access::SshKey {
        key: "/etc/reconcile/key".into(),
        known_hosts: None,
        ssh_config: None,
    }
}

fn token() -> Access {
    Access::Token {
        file: "/etc/reconcile/token".into(),
        username: "reconcile".into(),
    }
}

#[test]
fn ssh_addresses_are_taken_in_both_forms() {
    for url in [
        "ssh://git@gitea.example:2222/infra/infra.git",
        "ssh://gitea/infra/infra.git",
        "SSH://git@gitea/infra.git",
        "ssh://git@[::1]:22/a/b.git",
        "ssh://git@host/~alice/b.git",
        "ssh://git@host/a%20b/gr%C3%BCn.git",
        "git@gitea.example:infra/infra.git",
        "gitea:infra.git",
        "git@[::1]:infra/infra.git",
    ] {
        assert_eq!(check_url(url, &key()), Ok(Address::Ssh), "{url}");
    }
    assert_eq!(for_git("SSH://git@Gitea/a.git"), "ssh://git@Gitea/a.git");
    assert_eq!(for_git("git@Gitea:a.git"), "git@Gitea:a.git");
}

#[test]
fn file_and_http_addresses_are_taken_and_a_token_is_for_scheme_host_and_port() {
    let file = check_url("file:///srv/a%20b.git", &Access::None);
    assert_eq!(file, Ok(Address::File));
    for (url, origin) in [
        (
            "https://gitea.example:3000/infra/infra.git",
            "https://gitea.example:3000",
        ),
        (
            "https://gitea.example/infra/infra.git",
            "https://gitea.example",
        ),
    ] {
        for access in [Access::None, token()] {
            let origin = origin.to_owned();
            assert_eq!(check_url(url, &access), Ok(Address::Http { origin }));
        }
    }
}

#[test]
fn what_could_harm_or_cannot_work_is_refused_with_its_reason() {
    let check = |url: &str, access: &Access, expected: AddressError| {
        assert_eq!(check_url(url, access), Err(expected), "{url}");
    };
    check("", &Access::None, AddressError::Empty);
    check(&"x".repeat(3000), &Access::None, AddressError::TooLong);
    check("https://a/b c", &Access::None, AddressError::Unprintable);
    check("https://a/b\u{7}", &Access::None, AddressError::Unprintable);
    check(
        "git://a/b",
        &Access::None,
        AddressError::Scheme("git".into()),
    );
    check("ext::sh -c x", &Access::None, AddressError::Unprintable);
    check("ssh://-oProxyCommand=x/a", &key(), AddressError::Host);
    check("ssh://git@-oProxyCommand=x/a", &key(), AddressError::Host);
    check("-oProxyCommand=x:a/b", &key(), AddressError::Host);
    check("ssh://-oX@host/a", &key(), AddressError::User);
    check("-oX@host:a/b", &key(), AddressError::User);
    check("git@host:-x", &key(), AddressError::Path);
    check("git@host:", &key(), AddressError::NoPath);
    check("ssh://git@host/", &key(), AddressError::NoPath);
    check("ssh://git@host/a%0Ab", &key(), AddressError::Unprintable);
    check("https://host/", &Access::None, AddressError::NoPath);
    check(
        "https://host/a?x=1",
        &Access::None,
        AddressError::QueryOrFragment,
    );
    check(
        "ssh://git@host/a.git",
        &Access::None,
        AddressError::KeyMissing,
    );
    check("ssh://git@host/a.git", &token(), AddressError::KeyMissing);
    check("https://host/a.git", &key(), AddressError::KeyUnused);
    check("file:///a.git", &key(), AddressError::KeyUnused);
    check("file:///a.git", &token(), AddressError::TokenUnused);
    check(
        "/srv/a.git",
        &Access::None,
        AddressError::Unreadable("it has neither a scheme nor a colon"),
    );
    let relative = Access::SshKey {
        key: "key".into(),
        known_hosts: None,
        ssh_config: None,
    };
    check(
        "ssh://git@host/a.git",
        &relative,
        AddressError::AccessPath("SSH key"),
    );
}

#[test]
fn a_password_in_a_url_is_refused_without_being_shown() {
    for url in [
        "https://me:hunter2@host/a.git",
        "ssh://me:hunter2@host/a.git",
        "me:hunter2@host:a.git",
        "https://hunter2@host/a.git",
        "https://me:hunter2@ho st/a.git",
        "https://me:hunter2@host:bad/a.git",
    ] {
        let error = check_url(url, &token()).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
    assert_eq!(
        check_url("https://me:hunter2@host/a.git", &token()),
        Err(AddressError::Password)
    );
    assert_eq!(
        check_url("me:hunter2@host:a.git", &key()),
        Err(AddressError::Password)
    );
}
