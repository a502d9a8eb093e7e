internal import PolicyModel

/// Hooks of Unix sockets: on the applications whose environment says `unix: private`, as far as the kernel has them.
///
/// Whether they refuse is in the published image, like all of a policy. So they come before an image that may need them,
/// and go after one that does not: one too many costs time and judges the same way.
extension Instance {
    /// Whether an application is to have them: unless its environment is there and shares Unix sockets.
    func judgesUnix(_ application: AttachedApplication) throws(BPFError) -> Bool {
        guard let environment = try publishedImage()?.environment(named: application.environment) else { return true }
        return environment.unixPrivate
    }

    /// Has them on applications that are about to be judged by them.
    func placeUnixHooks(on applications: [AttachedApplication]) throws(BPFError) {
        let hooks = try loadedHooks().filter(\.judgesUnix)
        guard !hooks.isEmpty else { return }
        for application in applications where application.state != .detaching {
            guard let cgroup = try openCgroup(application.cgroupID) else { continue }
            for hook in hooks { try place(hook, on: cgroup.rawValue) }
        }
    }

    /// Takes them off a cgroup.
    func removeUnixHooks(from cgroup: Int32) throws(BPFError) {
        for hook in try loadedHooks() where hook.judgesUnix { try ownPrograms().remove(from: hook, on: cgroup) }
    }

    /// Takes away those that no environment asks for any more. One that cannot be taken away waits for the next
    /// publication.
    func removeStrayUnixHooks() throws(BPFError) {
        guard try loadedHooks().contains(where: \.judgesUnix) else { return }
        for application in try applications() where try !judgesUnix(application) {
            guard let cgroup = try? openCgroup(application.cgroupID) else { continue }
            try? removeUnixHooks(from: cgroup.rawValue)
        }
    }
}
