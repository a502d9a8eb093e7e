/// What `vne-agent` ends with, so that scripts can tell why.
///
/// `vne-agent exec` ends with the status of the program it ran instead; ``launchFailed``, 126 (found, cannot be run) and
/// 127 (not found) are its own, as with env(1).
public enum ExitStatus: Int32, CaseIterable, Hashable, Sendable, Codable {
    /// Done; for `explain`: allowed.
    case success = 0
    /// Something failed that no other status names.
    case failure = 1
    /// The command line makes no sense.
    case usage = 2
    /// The policy file has errors.
    case policyFile = 3
    /// No such application, environment, cgroup or policy.
    case notFound = 4
    /// An address, a name or a cgroup is taken, or the address is not the environment's.
    case conflict = 5
    /// This kernel, or this user, cannot do it; an environment requires a protection that does not hold.
    case unsupported = 6
    /// `explain`: the policy denies it.
    case denied = 7
    /// Refused for safety's sake: a clean cgroup was asked for and the cgroup is not, or a process of it lives in
    /// another network namespace.
    case refused = 8
    /// `apply --confirm`: nobody confirmed, and the policy from before is back.
    case rolledBack = 9
    /// `exec` failed before it ran the program.
    case launchFailed = 125
    /// `await`: the application is not attached. Of `ExecCondition=`, systemd takes this status alone for a failure.
    case notAttached = 255
}
