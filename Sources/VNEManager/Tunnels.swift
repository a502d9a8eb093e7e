internal import OverlayModel
internal import PolicyModel
internal import VNEHost

/// The tunnels' devices of a network: in its namespace, with their UDP sockets in the node's own.
///
/// The kernel's WireGuard where it has one, else a process of wireguard-go for each device. Both speak through `wg`.
struct Tunnels {
    let place: NetworkPlace
    let key: NodeKey

    /// Has the devices be there, and none else; they are told what they have not been told yet.
    func reconcile(_ devices: [NodeConfiguration.Device]) async throws(ManagerError) {
        // A new key is something to tell, too.
        let own = "# \(try await key.publicKey())\n"
        for name in try await present() where !devices.contains(where: { $0.name == name }) {
            try await Program(["ip", "-n", place.label, "link", "delete", name]).run()
            try forget(name)
        }
        for device in devices {
            if try await !present().contains(device.name) {
                try forget(device.name)
                try await make(device)
            }
            try await tell(Told(device), own)
        }
    }

    /// Tells devices that are there what has changed since they were told.
    ///
    /// A source that goes from one peer to another does so at once in a device. Where it does in several, all take it from the
    /// one before any gives it to the other: no two have it at any time.
    func tell(_ devices: [NodeConfiguration.Device]) async throws(ManagerError) {
        try await tell(devices.map(Told.init))
    }

    /// What a device is told of.
    private struct Told {
        var name: String
        var configuration: String

        init(_ device: NodeConfiguration.Device) { self.init(name: device.name, configuration: device.configuration) }

        init(name: String, configuration: String) { (self.name, self.configuration) = (name, configuration) }
    }

    private func tell(_ devices: [Told]) async throws(ManagerError) {
        var due: [(device: Told, own: String, changes: [AllowedSources.Change])] = []
        for device in devices {
            guard let told = try NodeFiles.text(told(device)), let first = told.split(separator: "\n").first else {
                continue
            }
            let own = "\(first)\n"
            guard told != own + device.configuration else { continue }
            let changes = AllowedSources.changes(
                from: String(told.dropFirst(own.count)), to: device.configuration)
            if let changes { due.append((device, own, changes)) } else { try await tell(device, own) }
        }
        let isInTurns = due.filter { $0.changes.contains { !$0.gone.isEmpty } }.count > 1
        if isInTurns {
            for entry in due {
                let changes = entry.changes.filter { !$0.gone.isEmpty }.map(\.withoutNew)
                if !changes.isEmpty { try await set(entry.device, entry.own, changes) }
            }
        }
        for entry in due {
            let changes = isInTurns ? entry.changes.map(\.withoutGone) : entry.changes
            try await set(entry.device, entry.own, changes)
            try NodeFiles.write(entry.own + entry.device.configuration, to: told(entry.device))
        }
    }

    /// Has an address be a source of that host's from now on, and so lead there, in all devices for hosts; nothing changes where
    /// none of them has the host. What the devices are told next is compared with that.
    func give(_ address: IPAddress, to key: WireGuardKey) async throws(ManagerError) {
        var devices: [Told] = []
        var isGiven = false
        for file in NodeFiles.names(in: place.applied) where file.hasPrefix("hosts-") && file.hasSuffix(".conf") {
            guard let told = try NodeFiles.text("\(place.applied)/\(file)") else { continue }
            // The first line is this node's own key.
            let body = told.drop { $0 != "\n" }.dropFirst()
            let (text, isHere) = AllowedSources.text(String(body), giving: "\(address)", to: "\(key)")
            isGiven = isGiven || isHere
            devices.append(Told(name: String(file.dropLast(5)), configuration: text))
        }
        if isGiven { try await tell(devices) }
    }

    private func told(_ device: Told) -> String { "\(place.applied)/\(device.name).conf" }

    private func tell(_ device: Told, _ own: String) async throws(ManagerError) {
        let told = try NodeFiles.text(told(device))
        guard told != own + device.configuration else { return }
        if let told, told.hasPrefix(own),
            let changes = AllowedSources.changes(from: String(told.dropFirst(own.count)), to: device.configuration)
        {
            try await set(device, own, changes)
            return try NodeFiles.write(own + device.configuration, to: self.told(device))
        }
        try await load(device, own)
    }

    /// Changes the sources of some peers. Whose stay the same is not touched.
    private func set(
        _ device: Told, _ own: String, _ changes: [AllowedSources.Change]
    ) async throws(ManagerError) {
        let path = "\(place.tunnelSockets)/\(device.name).sock"
        if let request = AllowedSources.request(changes), NodeFiles.exists(path) {
            let answer = try await waiting { () throws(HostError) in
                let socket = try CommandSocket(path)
                let end = EngineEvents.now + Self.patience
                try socket.write(request)
                var lines: [String] = []
                // It ends with an empty line.
                while lines.last != "" {
                    try socket.wait(until: end)
                    lines += try socket.lines()
                }
                return lines
            }
            guard answer.first == "errno=0" else {
                throw ManagerError(
                    .failed, "wireguard-go does not take sources of \(device.name): \(answer.joined(separator: " "))")
            }
        } else if let words = AllowedSources.words(changes) {
            try await wg(["set", device.name] + words).run()
        } else {
            try await load(device, own)
        }
    }

    /// A process of wireguard-go answers at once; one that stands still is not waited for.
    private static let patience = Duration.seconds(5)

    /// Tells a device all of it.
    private func load(_ device: Told, _ own: String) async throws(ManagerError) {
        // wg(8): a private key that is not in the file is taken away.
        let secret = "[Interface]\nPrivateKey = \(try key.privateKey())"
        let text = device.configuration.replacing("[Interface]\n", with: secret, maxReplacements: 1)
        try await wg(["syncconf", device.name, "/dev/stdin"]).run(input: text)
        try NodeFiles.write(own + device.configuration, to: self.told(device))
    }

    /// The names of the devices in the network's namespace.
    func present() async throws(ManagerError) -> [String] {
        let text = try await Program(["ip", "-n", place.label, "-br", "link", "show"]).run()
        return text.split(separator: "\n").compactMap { line in
            line.split(separator: " ").first.map { String($0.prefix { $0 != "@" }) }
        }.filter { $0.hasPrefix("node") || $0.hasPrefix("hosts-") }
    }

    /// Removes the devices: whoever else is in the namespace keeps it, and would keep them.
    func remove() async throws(ManagerError) {
        for name in try await present() {
            _ = try await Program(["ip", "-n", place.label, "link", "delete", name]).finish()
        }
    }

    /// `wg`, where it finds the devices of this network.
    func wg(_ arguments: [String]) -> Program {
        Program(Self.withSockets(place, ["wg"] + arguments)).inside(namespace: place.label)
    }

    /// The processes of userspace tunnels, by their devices.
    var processes: [EngineProcess] {
        NodeFiles.names(in: place.tunnelSockets).filter { $0.hasSuffix(".pid") }.compactMap { name in
            EngineProcess(recordedIn: "\(place.tunnelSockets)/\(name)", program: "wireguard-go", of: place)
        }
    }

    // MARK: Making one

    private func make(_ device: NodeConfiguration.Device) async throws(ManagerError) {
        // Where it is asked for is where its socket stays.
        let made = try await Program(
            ["ip", "link", "add", device.name, "mtu", "\(device.mtu)", "netns", place.label, "type", "wireguard"]
        ).finish()
        guard made.status != 0 else { return }
        guard made.error.contains("Unknown device type") || made.error.contains("not supported") else {
            throw ManagerError(.failed, "cannot make the device \(device.name): \(made.error)")
        }
        try await makeInUserspace(device)
    }

    /// wireguard-go makes its device where it runs, and opens its socket there. It sees that the device is up in another
    /// namespace too, but learns its MTU before.
    private func makeInUserspace(_ device: NodeConfiguration.Device) async throws(ManagerError) {
        let pid = "\(place.tunnelSockets)/\(device.name).pid"
        let socket = "\(place.tunnelSockets)/\(device.name).sock"
        if EngineProcess(recordedIn: pid, program: "wireguard-go", of: place) == nil {
            try NodeFiles.remove(socket)
            let start = "echo $$ > \"$1\" && exec nice -n -10 wireguard-go -f \"$2\" >> \"$3\" 2>&1 < /dev/null"
            let shell = ["sh", "-c", start, "sh", pid, device.name, "\(place.running)/\(device.name).log"]
            try await Program(EngineProcess.marked(place) + ["setsid", "--fork"] + Self.withSockets(place, shell)).run()
        }
        for _ in 0..<500 where !NodeFiles.names(in: place.tunnelSockets).contains("\(device.name).sock") {
            try await Program.pause()
        }
        guard NodeFiles.names(in: place.tunnelSockets).contains("\(device.name).sock") else {
            let log = try NodeFiles.text("\(place.running)/\(device.name).log") ?? ""
            throw ManagerError(.failed, "wireguard-go makes no device \(device.name): \(log.suffix(300))")
        }
        try await Program(["ip", "link", "set", device.name, "mtu", "\(device.mtu)"]).run()
        try await Program(["ip", "link", "set", device.name, "netns", place.label]).run()
    }

    private func forget(_ device: String) throws(ManagerError) {
        try NodeFiles.remove("\(place.applied)/\(device).conf")
    }

    /// A program in a mount namespace in which `/run/wireguard` is this network's: two networks have devices of one name.
    private static func withSockets(_ place: NetworkPlace, _ arguments: [String]) -> [String] {
        let bind = "mkdir -p /run/wireguard && mount --bind \"$1\" /run/wireguard && shift && exec \"$@\""
        return ["unshare", "--mount", "--propagation", "slave", "sh", "-c", bind, "sh", place.tunnelSockets] + arguments
    }
}
