public import PolicyModel

/// What the agent asks of the kernel's BPF side. `VNEBPF.Instance` is the real one; tests bring their own.
///
/// Every call happens under the instance's lock, which its opener holds. All state is in the kernel: two values for the
/// same instance see the same applications and the same policy.
public protocol Dataplane {
    /// Publishes a policy: one atomic change for every hook, or none if it throws.
    ///
    /// Environments keep their ids by name, also those that the policy dropped while an attachment refers to them (they
    /// deny). With `revoking`, recorded datagram flows of before no longer count.
    /// - Parameter text: the policy file as it was read; ``publishedPolicy()`` gives it back.
    func publish(_ policy: Policy, text: String, on host: HostView, revoking: Bool) throws

    /// The published policy file's text and name, and how often one was published; nil before the first time.
    func publishedPolicy() throws -> PublishedPolicy?

    /// What the published policy has an environment of this name do, found without reading its text.
    func environment(named name: String) throws -> PublishedEnvironment?

    /// How the published policy has applications known to others, found without reading its text.
    func publishedIdentity() throws -> PublishedIdentity

    /// Which environment the published policy gives the address to, found without reading its text.
    func owner(of address: IPAddress) throws -> PublishedOwner

    /// The applications in the maps, in whatever state they are.
    func applications() throws -> [AttachedApplication]

    /// The application of a cgroup.
    func application(cgroupID: UInt64) throws -> AttachedApplication?

    /// Who holds an application address on this host: the cgroup's id.
    func holder(of address: IPAddress) throws -> UInt64?

    /// Records the application (as `attaching`), claims its addresses, and attaches every hook of it to the cgroup. All of
    /// them deny until ``open(_:)``. Also finishes what a killed command left: hooks that are there stay.
    /// - Parameter cgroup: a file descriptor of the cgroup's directory.
    func attach(_ application: AttachedApplication, cgroup: Int32) throws

    /// Lets the application's hooks judge by the policy, and records it as `attached`.
    func open(_ application: AttachedApplication) throws

    /// Has an attached application deny everything until ``open(_:)``, and records it as `attaching`.
    func deny(_ application: AttachedApplication) throws

    /// Denies everything, records the application as `detaching`, takes its hooks away and forgets it. Also finishes
    /// what a killed command left; the cgroup may be gone.
    func detach(_ application: AttachedApplication) throws

    /// Attaches or detaches the egress hook of an attached application and records which.
    func setEgress(_ egress: Bool, of application: AttachedApplication, cgroup: Int32) throws

    /// What the application's hooks have counted.
    func counters(of application: AttachedApplication) throws -> VerdictCounters

    /// The live entries of the application's flow table.
    func flows(of application: AttachedApplication) throws -> [RecordedFlow]

    /// Which protections the hooks do not hold, and why: of an application that is attached, or of any that will be.
    /// Closing is the host's: ``Host/obstacleToClosing()``.
    func unheldProtections(of application: AttachedApplication?) throws -> [Protection: String]

    /// Takes the application from one environment, set of addresses or hostname to another in one step: still open if it
    /// was, and still denied everything if it was `attaching`.
    func update(_ application: AttachedApplication) throws

    /// The guarded cgroups in the maps, in whatever state they are.
    func guardedCgroups() throws -> [GuardedCgroup]

    /// Records the cgroup (as `attaching`), attaches every hook of the guard to it and records it as `attached`. Also
    /// finishes what a killed command left.
    /// - Parameter descriptor: a file descriptor of the cgroup's directory.
    func protect(_ cgroup: GuardedCgroup, descriptor: Int32) throws

    /// Records the cgroup as `detaching`, takes the guard's hooks away and forgets it. Also finishes what a killed command
    /// left; the cgroup may be gone.
    func unprotect(_ cgroup: GuardedCgroup) throws

    /// What the guard of a cgroup refused, by hook.
    func refusals(of cgroup: GuardedCgroup) throws -> [Hook: UInt64]
}
