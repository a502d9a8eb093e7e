import PolicyModel
import VNEAgent

/// The host of a ``FakeWorld``.
struct FakeHost: Host {
    let world: FakeWorld

    func openCgroup(_ path: String) throws -> OpenCgroup {
        try world.step("openCgroup") {
            guard let id = world.cgroups[path] else { throw AgentError(.notFound, "there is no cgroup \(path)") }
            return opened(path, id)
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

    func isPopulated(_ path: String) -> Bool { world.populated.contains { $0 == path || $0.hasPrefix(path + "/") } }

    func addAddress(_ address: IPv4Address) throws -> Bool {
        defer { world.checkSafety(at: "addAddress") }
        return try world.step("addAddress") {
            !world.hostAddresses.contains(address) && world.applicationAddresses.insert(address).inserted
        }
    }

    func removeAddress(_ address: IPv4Address) throws {
        try world.step("removeAddress") { _ = world.applicationAddresses.remove(address) }
    }

    func addPlaceholder(for address: IPv4Address) throws -> Bool {
        try world.step("addPlaceholder") { world.placeholders.insert(address).inserted }
    }

    func removePlaceholder(for address: IPv4Address) throws {
        try world.step("removePlaceholder") { _ = world.placeholders.remove(address) }
    }

    func view(interfaces: [String], excluding: Set<IPv4Address>) throws -> HostView {
        try world.step("view") {
            let addresses = world.hostAddresses.union(world.applicationAddresses).subtracting(excluding)
            return HostView(
                addresses: addresses.filter { $0.rawValue >> 24 != 127 },
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

    func interfaceAddresses() throws -> Set<IPv4Address> {
        try world.step("interfaceAddresses") { world.hostAddresses.union(world.applicationAddresses) }
    }
}
