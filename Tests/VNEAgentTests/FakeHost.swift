import PolicyModel
import VNEAgent

/// The host of a ``FakeWorld``.
struct FakeHost: Host {
    let world: FakeWorld

    func openCgroup(_ path: String) throws -> OpenCgroup {
        try world.step("openCgroup") {
            if path == world.openCgroupFails { throw Fault(step: "openCgroup") }
            guard let id = world.cgroups[path] else { throw AgentError(.notFound, "there is no cgroup \(path)") }
            return opened(path, id)
        }
    }

    func openRootCgroup() throws -> OpenCgroup {
        try world.step("openRootCgroup") {
            OpenCgroup(path: "/", id: 1, level: 0, descriptor: world.makeDescriptor())
        }
    }

    func close(_ cgroup: OpenCgroup) {
        if world.descriptors.remove(cgroup.descriptor) == nil {
            world.violations.append("closed twice: \(cgroup.path)")
        }
    }

    func makeCgroup(_ path: String) throws -> OpenCgroup {
        try world.step("makeCgroup") {
            let id = world.cgroups[path] ?? world.makeCgroupID()
            if let slash = path.lastIndex(of: "/"), world.cgroups[String(path[..<slash])] == nil {
                world.cgroups[String(path[..<slash])] = world.makeCgroupID()
            }
            world.cgroups[path] = id
            return opened(path, id)
        }
    }

    private func opened(_ path: String, _ id: UInt64) -> OpenCgroup {
        let level = UInt32(path.split(separator: "/").count)
        return OpenCgroup(path: path, id: id, level: level, descriptor: world.makeDescriptor())
    }

    func removeCgroup(_ path: String) -> Bool {
        guard !isPopulated(path), !world.cgroups.keys.contains(where: { $0.hasPrefix(path + "/") }) else {
            return false
        }
        // A killed process removes nothing.
        do { try world.step("removeCgroup") { world.cgroups[path] = nil } } catch { return false }
        return true
    }

    func cgroupExists(_ path: String, id: UInt64) -> Bool { world.cgroups[path] == id }

    func cgroupExists(_ path: String) -> Bool? { path == world.openCgroupFails ? nil : world.cgroups[path] != nil }

    func isPopulated(_ path: String) -> Bool { world.populated.contains { $0 == path || $0.hasPrefix(path + "/") } }

    func isPopulated(_ cgroup: OpenCgroup) -> Bool { isPopulated(cgroup.path) }

    func addAddress(_ address: IPAddress, on carrier: String?) throws -> Bool {
        defer { world.checkSafety(at: "addAddress") }
        return try world.step("addAddress") {
            guard address.family == .ipv4 || world.hasIPv6 else {
                throw AgentError(.unsupported, "cannot add \(address): no IPv6", hint: "switch IPv6 on")
            }
            if let carrier, world.interfaces[carrier] == nil { throw AgentError(.notFound, "no interface \(carrier)") }
            if world.onLink[address] != nil { world.violations.append("\(address) is put here and lives elsewhere") }
            world.carriers[address, default: []].insert(carrier)
            return !world.hostAddresses.contains(address) && world.applicationAddresses.insert(address).inserted
        }
    }

    func removeAddress(_ address: IPAddress) throws {
        try world.step("removeAddress") {
            world.carriers[address] = nil
            _ = world.applicationAddresses.remove(address)
        }
    }

    func removeAddress(_ address: IPAddress, besides carrier: String?) throws {
        try world.step("removeAddress") { world.carriers[address] = [carrier] }
    }

    func holders(of addresses: Set<IPAddress>, on interface: String) throws -> [IPAddress: String] {
        try world.step("holders") {
            world.probes.append(addresses)
            return world.onLink.filter { addresses.contains($0.key) }
        }
    }

    func announce(_ addresses: Set<IPAddress>, on interface: String) throws {
        try world.step("announce") { world.announced.append(contentsOf: addresses.sorted()) }
    }

    func name(_ hosts: [NamedHost]) throws -> Set<String> {
        try world.step("name") {
            world.named = Dictionary(uniqueKeysWithValues: hosts.map { ($0.name, $0.addresses) })
            return Set(hosts.map(\.name)).intersection(world.foreignNames)
        }
    }

    func keptLeases() throws -> String? { try world.step("keptLeases") { world.leases } }

    func keepLeases(_ text: String?) throws { try world.step("keepLeases") { world.leases = text } }

    static let loopbackBlocks: UInt32 = 4

    func privateLoopback(block: UInt32) -> PrivateLoopback {
        PrivateLoopback(
            ipv4: IPAddress(ipv4: 0x7f01_0000 + block << 8),
            ipv6: IPAddress(high: 0xfd56_4e45_0000_0001, low: UInt64(block)))
    }

    func addLoopback(_ loopback: PrivateLoopback) throws -> Bool {
        defer { world.checkSafety(at: "addLoopback") }
        return try world.step("addLoopback") { world.hasIPv6 && world.loopbacks.insert(loopback.ipv6).inserted }
    }

    func removeLoopback(_ loopback: PrivateLoopback) throws {
        try world.step("removeLoopback") { _ = world.loopbacks.remove(loopback.ipv6) }
    }

    func view(interfaces: [String], excluding: Set<IPAddress>) throws -> HostView {
        try world.step("view") {
            let addresses = world.hostAddresses.union(world.applicationAddresses).subtracting(excluding)
            return HostView(
                addresses: addresses.subtracting(["127.0.0.1", "::1"].map(address)),
                sharedServices: world.resolvers,
                interfaces: world.interfaces.filter { interfaces.contains($0.key) })
        }
    }

    func sockets() throws -> [ObservedSocket] { try world.step("sockets") { world.sockets } }

    func destroy(_ socket: ObservedSocket) throws {
        try world.step("destroy") {
            if world.destroyIsUnsupported { throw AgentError(.unsupported, "this kernel closes no sockets") }
            world.sockets.removeAll { $0.cookie == socket.cookie }
            world.destroyed.append(socket)
        }
    }

    func obstacleToClosing() throws -> String? {
        try world.step("obstacleToClosing") { world.destroyIsUnsupported ? "this kernel closes no sockets" : nil }
    }

    func cgroupIDs(below path: String) throws -> Set<UInt64> {
        try world.step("cgroupIDs") {
            Set(world.cgroups.filter { $0.key == path || $0.key.hasPrefix(path + "/") }.values)
        }
    }

    func allCgroupIDs() throws -> Set<UInt64> {
        try world.step("allCgroupIDs") { Set(world.cgroups.values).union([1]) }
    }

    func foreignSockets(of path: String) throws -> [ForeignSocket] {
        try world.step("foreignSockets") { world.foreign[path] ?? [] }
    }

    func foreignNamespaceProcesses(of path: String) throws -> [UInt32] {
        try world.step("foreignNamespaceProcesses") { world.strangers[path] ?? [] }
    }

    func isAlive(_ launcher: AttachedApplication.Launcher) -> Bool { world.alive.contains(launcher.process) }

    func interfaceAddresses() throws -> Set<IPAddress> {
        try world.step("interfaceAddresses") {
            if world.interfaceAddressesFail { throw Fault(step: "interfaceAddresses") }
            return world.hostAddresses.union(world.applicationAddresses).union(world.loopbacks)
        }
    }

    func addresses(carrier: String?) throws -> (all: Set<IPAddress>, carried: Set<IPAddress>) {
        let all = try interfaceAddresses()
        return (all, world.applicationAddresses.filter { world.carriers[$0]?.contains(carrier) == true })
    }
}
