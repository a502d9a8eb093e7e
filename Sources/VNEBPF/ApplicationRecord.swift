internal import PolicyModel
internal import VNEPrograms

/// Between `struct vne_application` and ``AttachedApplication``.
enum ApplicationRecord {
    /// The record of an application; refuses names that do not fit.
    static func record(of application: AttachedApplication) throws(BPFError) -> vne_application {
        var record = vne_application()
        record.state =
            switch application.state {
            case .attaching: UInt32(VNE_APPLICATION_ATTACHING)
            case .attached: UInt32(VNE_APPLICATION_ATTACHED)
            case .detaching: UInt32(VNE_APPLICATION_DETACHING)
            }
        if application.fromPolicy { record.flags |= UInt32(VNE_APPLICATION_FROM_POLICY) }
        if application.egress { record.flags |= UInt32(VNE_APPLICATION_EGRESS) }
        if application.ownsAddresses.contains(.ipv4) { record.flags |= UInt32(VNE_APPLICATION_OWNS_ADDRESS4) }
        if application.ownsAddresses.contains(.ipv6) { record.flags |= UInt32(VNE_APPLICATION_OWNS_ADDRESS6) }
        if application.confined { record.flags |= UInt32(VNE_APPLICATION_CONFINED) }
        if let launcher = application.launcher {
            record.flags |= UInt32(VNE_APPLICATION_TRANSIENT)
            record.launcher = launcher.process
            record.launcher_start = launcher.startTime
        }
        record.address4 = application.addresses.layout4
        record.address6 = application.addresses.layout6
        record.loopback4 = application.loopback.ipv4.ipv4 ?? 0
        record.loopback6 = application.loopback.ipv6.layout
        record.environment = application.environmentID
        record.level = application.cgroupLevel
        guard FixedText.write(application.name, to: &record.name) else { throw .invalidName(application.name) }
        guard FixedText.write(application.environment, to: &record.environment_name) else {
            throw .invalidName(application.environment)
        }
        guard FixedText.write(application.hostname ?? "", to: &record.hostname) else {
            throw .invalidName(application.hostname ?? "")
        }
        guard FixedText.write(application.cgroupPath, to: &record.cgroup_path) else {
            throw .invalidName(application.cgroupPath)
        }
        return record
    }

    /// The application of a record. One that no version writes, by its state or without an address, counts as
    /// `detaching`, which denies and is cleared.
    static func application(of record: vne_application, cgroupID: UInt64) -> AttachedApplication {
        let addresses = addresses(of: record)
        let state: AttachedApplication.State =
            switch record.state {
            case UInt32(VNE_APPLICATION_ATTACHING) where addresses != nil: .attaching
            case UInt32(VNE_APPLICATION_ATTACHED) where addresses != nil: .attached
            default: .detaching
            }
        var ownsAddresses: Set<AddressFamily> = []
        if record.flags & UInt32(VNE_APPLICATION_OWNS_ADDRESS4) != 0 { ownsAddresses.insert(.ipv4) }
        if record.flags & UInt32(VNE_APPLICATION_OWNS_ADDRESS6) != 0 { ownsAddresses.insert(.ipv6) }
        let hostname = FixedText.string(of: record.hostname)
        var launcher: AttachedApplication.Launcher?
        if record.flags & UInt32(VNE_APPLICATION_TRANSIENT) != 0 {
            launcher = AttachedApplication.Launcher(process: record.launcher, startTime: record.launcher_start)
        }
        return AttachedApplication(
            state: state, name: FixedText.string(of: record.name),
            environment: FixedText.string(of: record.environment_name), environmentID: record.environment,
            addresses: addresses ?? ApplicationAddresses(IPAddress(rawValue: 0)),
            loopback: PrivateLoopback(ipv4: record.loopback4, ipv6: record.loopback6),
            hostname: hostname.isEmpty ? nil : hostname,
            cgroupPath: FixedText.string(of: record.cgroup_path), cgroupID: cgroupID, cgroupLevel: record.level,
            fromPolicy: record.flags & UInt32(VNE_APPLICATION_FROM_POLICY) != 0,
            egress: record.flags & UInt32(VNE_APPLICATION_EGRESS) != 0,
            ownsAddresses: ownsAddresses, launcher: launcher,
            confined: record.flags & UInt32(VNE_APPLICATION_CONFINED) != 0)
    }

    /// The application addresses of a record; nil if it has none.
    static func addresses(of record: vne_application) -> ApplicationAddresses? {
        ApplicationAddresses(ipv4: record.address4, ipv6: record.address6)
    }
}
