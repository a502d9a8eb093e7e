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
        if application.ownsAddress { record.flags |= UInt32(VNE_APPLICATION_OWNS_ADDRESS) }
        if let launcher = application.launcher {
            record.flags |= UInt32(VNE_APPLICATION_TRANSIENT)
            record.launcher = launcher.process
            record.launcher_start = launcher.startTime
        }
        record.address = application.address.rawValue
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

    /// The application of a record. A state that no version writes counts as `detaching`, which denies and is cleared.
    static func application(of record: vne_application, cgroupID: UInt64) -> AttachedApplication {
        let state: AttachedApplication.State =
            switch record.state {
            case UInt32(VNE_APPLICATION_ATTACHING): .attaching
            case UInt32(VNE_APPLICATION_ATTACHED): .attached
            default: .detaching
            }
        let hostname = FixedText.string(of: record.hostname)
        var launcher: AttachedApplication.Launcher?
        if record.flags & UInt32(VNE_APPLICATION_TRANSIENT) != 0 {
            launcher = AttachedApplication.Launcher(process: record.launcher, startTime: record.launcher_start)
        }
        return AttachedApplication(
            state: state, name: FixedText.string(of: record.name),
            environment: FixedText.string(of: record.environment_name), environmentID: record.environment,
            address: IPv4Address(rawValue: record.address), hostname: hostname.isEmpty ? nil : hostname,
            cgroupPath: FixedText.string(of: record.cgroup_path), cgroupID: cgroupID, cgroupLevel: record.level,
            fromPolicy: record.flags & UInt32(VNE_APPLICATION_FROM_POLICY) != 0,
            egress: record.flags & UInt32(VNE_APPLICATION_EGRESS) != 0,
            ownsAddress: record.flags & UInt32(VNE_APPLICATION_OWNS_ADDRESS) != 0, launcher: launcher)
    }
}
