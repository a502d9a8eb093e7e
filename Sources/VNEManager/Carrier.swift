internal import OverlayModel

/// The veth pair between a host's namespace and its network's.
///
/// wireguard-go hands packets to the kernel one by one, and each would go through the host's namespace, its isolator and TCP by
/// itself. Put together on the way (GRO), several do at once. What the kernel's own WireGuard puts together would be taken
/// apart for that, and it is left alone.
struct Carrier {
    let place: NetworkPlace
    private let name = NodeConfiguration.carrier

    /// Has there be one; says whether it is new.
    func make() async throws(ManagerError) -> Bool {
        guard try await !Self.isThere(in: place.label) else { return false }
        try await Self.refuseSecond(place)
        try await Program(["ip", "link", "add", name, "type", "veth", "peer", "name", name, "netns", place.label]).run()
        return true
    }

    /// Has packets from the network be put together where they arrive one by one. A veth does that since Linux 5.13, if the other
    /// end has no TSO; in a thread of its own, which has several to look at (5.12). What cannot be so is slower, and no failure.
    func gather(from tunnels: Tunnels) async {
        guard !tunnels.processes.isEmpty else { return }
        _ = try? await Program(["ethtool", "-K", name, "tso", "off"]).inside(namespace: place.label).finish()
        _ = try? await Program(["ethtool", "-K", name, "gro", "on"]).finish()
        // The files of a namespace's interfaces are where sysfs(5) is mounted in it.
        let thread = "mount -t sysfs sysfs /sys && echo 1 > \"/sys/class/net/$1/threaded\""
        _ = try? await Program(["unshare", "--mount", "sh", "-c", thread, "sh", name]).finish()
    }

    /// The host's namespace is joined with one network only.
    static func refuseSecond(_ place: NetworkPlace) async throws(ManagerError) {
        if NodeFiles.names(in: NetworkPlace.namespaces).contains(place.label), try await isThere(in: place.label) {
            return
        }
        guard try await isThere(in: nil) else { return }
        throw ManagerError(
            .failed,
            "the applications of this machine are in another network, as \(NodeConfiguration.carrier) shows: leave that one, or "
                + "join this one with --apart")
    }

    private static func isThere(in namespace: String?) async throws(ManagerError) -> Bool {
        let place = namespace.map { ["-n", $0] } ?? []
        return try await Program(["ip"] + place + ["link", "show", NodeConfiguration.carrier]).succeeds()
    }
}
