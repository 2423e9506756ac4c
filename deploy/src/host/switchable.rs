//! Whether a system can be switched to at all, by what lies in it.

use std::path::Path;

use crate::specialisation::Specialisation;
use crate::toplevel::Toplevel;

/// Why a toplevel in this machine's store cannot be switched to: `system.switch.enable` is off for it (nixpkgs,
/// `switchable-system.nix`), or it has not the specialisation that is to run. `None` if it can, or is not here.
pub async fn unswitchable(
    toplevel: &Toplevel,
    specialised: Option<&Specialisation>,
) -> Option<String> {
    missing_in(Path::new(toplevel.as_str()), specialised).await
}

async fn missing_in(toplevel: &Path, specialised: Option<&Specialisation>) -> Option<String> {
    let is_here = |path: &Path| tokio::fs::try_exists(path.to_owned());
    // What cannot be looked at is let through: the host looks again.
    if !is_here(toplevel).await.ok()? {
        return None;
    }
    if !is_here(&toplevel.join("bin/switch-to-configuration"))
        .await
        .ok()?
    {
        return Some("system.switch.enable is off for this host".to_owned());
    }
    let name = specialised?;
    let is_there = is_here(&toplevel.join("specialisation").join(name.as_str()))
        .await
        .ok()?;
    (!is_there).then(|| format!("it has no specialisation {name}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn what_a_system_lacks_to_be_switched_to_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let system = folder.path().join("system");
        let travel: Specialisation = "travel".parse().unwrap();
        assert_eq!(missing_in(&system, Some(&travel)).await, None);
        fs::create_dir_all(system.join("bin")).unwrap();
        assert_eq!(
            missing_in(&system, None).await.as_deref(),
            Some("system.switch.enable is off for this host")
        );
        fs::write(system.join("bin/switch-to-configuration"), "").unwrap();
        assert_eq!(missing_in(&system, None).await, None);
        assert_eq!(
            missing_in(&system, Some(&travel)).await.as_deref(),
            Some("it has no specialisation travel")
        );
        fs::create_dir_all(system.join("specialisation/travel")).unwrap();
        assert_eq!(missing_in(&system, Some(&travel)).await, None);
    }
}
