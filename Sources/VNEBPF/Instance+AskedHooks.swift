internal import PolicyModel

/// Hooks that an application has only where its environment asks for them.
///
/// They come before an image that may need them, and go after one that does not: one too many costs time, or refuses what
/// need not be refused. An environment that nobody knows asks for all of them.
extension Instance {
    /// Whether the published policy has the application's environment ask for a hook.
    func asks(_ application: AttachedApplication, for hook: CgroupHook) throws(BPFError) -> Bool {
        guard hook.isAskedFor else { return true }
        return try publishedImage()?.environment(named: application.environment)?.asks(for: hook) ?? true
    }

    /// Has on every application what its environment asks for in a policy that is about to be published.
    func placeAskedHooks(by policy: Policy) throws(BPFError) {
        let environments = Dictionary(
            policy.environments.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        for application in try applications() {
            try placeHooks(askedForBy: environments[application.environment], on: application)
        }
    }

    /// Has on an application what the environment asks for that it is about to be judged by.
    func placeAskedHooks(on application: AttachedApplication) throws(BPFError) {
        try placeHooks(
            askedForBy: try publishedImage()?.environment(named: application.environment), on: application)
    }

    private func placeHooks(
        askedForBy environment: (any HookAsking)?, on application: AttachedApplication
    ) throws(BPFError) {
        let hooks = try loadedHooks().filter { $0.isAskedFor && environment?.asks(for: $0) ?? true }
        guard application.state != .detaching, !hooks.isEmpty,
            let cgroup = try openCgroup(application.cgroupID)
        else { return }
        for hook in hooks { try place(hook, on: cgroup.rawValue) }
    }

    /// Takes away what the applications' environments do not ask for. A hook that cannot be taken away waits for the next
    /// publication.
    func removeUnaskedHooks(of applications: [AttachedApplication]) throws(BPFError) {
        let (hooks, own) = (try loadedHooks().filter(\.isAskedFor), try ownPrograms())
        for application in applications {
            guard let cgroup = try? openCgroup(application.cgroupID) else { continue }
            for hook in hooks where try !asks(application, for: hook) {
                try? own.remove(from: hook, on: cgroup.rawValue)
            }
        }
    }
}
