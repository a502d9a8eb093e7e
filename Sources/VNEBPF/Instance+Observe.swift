internal import CLibBPF
internal import Glibc
public import PolicyModel
internal import VNEPrograms

extension Instance {
    /// The applications in the maps, in whatever state they are, by cgroup.
    public func applications() throws(BPFError) -> [AttachedApplication] {
        let records = try map(.application)
        var applications: [AttachedApplication] = []
        for cgroupID in try records.handle.keys(from: UInt64(0)).sorted() {
            if let application = try application(cgroupID, in: records.handle) { applications.append(application) }
        }
        cgroupIDs = Dictionary(applications.map { ($0.name, $0.cgroupID) }, uniquingKeysWith: { first, _ in first })
        return applications
    }

    /// The application of a cgroup.
    public func application(cgroupID: UInt64) throws(BPFError) -> AttachedApplication? {
        try application(cgroupID, in: try map(.application).handle)
    }

    func application(_ cgroupID: UInt64, in records: borrowing BPFMap) throws(BPFError) -> AttachedApplication? {
        guard let record: vne_application = try records.value(of: cgroupID) else { return nil }
        return ApplicationRecord.application(of: record, cgroupID: cgroupID)
    }

    /// The application with a name.
    public func application(named name: String) throws(BPFError) -> AttachedApplication? {
        guard let cgroupID = try cgroupID(named: name) else { return nil }
        return try application(cgroupID: cgroupID)
    }

    /// The cgroup of an application's name. All records are read at the first call; after it they change only here.
    func cgroupID(named name: String) throws(BPFError) -> UInt64? {
        if cgroupIDs == nil { _ = try applications() }
        return cgroupIDs?[name]
    }

    /// Who holds an application address on this host: the cgroup's id.
    ///
    /// A claim counts for as long as the claimer's record or attachment has the address: what a killed command claimed
    /// and did not use is free.
    public func holder(of address: IPAddress) throws(BPFError) -> UInt64? {
        guard let owner: vne_owner = try map(.owner).handle.value(of: address.layout) else { return nil }
        guard let record: vne_application = try map(.application).handle.value(of: owner.cgroup) else { return nil }
        if ApplicationRecord.addresses(of: record)?.contains(address) == true { return owner.cgroup }
        let attachment: vne_attachment? = try map(.attachment).handle.value(of: owner.cgroup)
        guard let attachment, attachment.state == UInt32(VNE_ATTACHMENT_OPEN) else { return nil }
        return attachment.addresses?.contains(address) == true ? owner.cgroup : nil
    }

    /// What the application's hooks have counted since it was attached.
    public func counters(of application: AttachedApplication) throws(BPFError) -> VerdictCounters {
        let size = try Self.byteCountOnAllCPUs(of: vne_counters.self)
        guard let bytes = try map(.counters).handle.value(of: application.cgroupID, byteCount: size) else {
            return VerdictCounters()
        }
        return Self.counters(of: bytes)
    }

    /// Adds up the counters of all CPUs. They begin anew after the greatest number, as each of them does.
    static func counters(of bytes: [UInt8]) -> VerdictCounters {
        let wordsOfVerdicts = Int(VNE_HOOKS) * Int(VNE_REASONS)
        let wordsOfCPU = (MemoryLayout<vne_counters>.size + 7) / 8
        guard let firstVerdict = MemoryLayout<vne_counters>.offset(of: \.verdicts).map({ $0 / 8 }) else {
            preconditionFailure("a field of a C structure has an offset")
        }
        var counters = VerdictCounters()
        unsafe bytes.withUnsafeBytes { bytes in
            for word in 0..<bytes.count / 8 {
                let count = unsafe bytes.loadUnaligned(fromByteOffset: word * 8, as: UInt64.self)
                let index = word % wordsOfCPU - firstVerdict
                guard count > 0, index >= 0 else { continue }
                if index < wordsOfVerdicts {
                    guard let hook = Hook(rawValue: UInt32(index / Int(VNE_REASONS))),
                        let reason = Reason(layout: UInt32(index % Int(VNE_REASONS)))
                    else { continue }
                    counters.verdicts[hook, default: [:]][reason, default: 0] &+= count
                } else if let hook = Hook(rawValue: UInt32(index - wordsOfVerdicts)) {
                    counters.audited[hook, default: 0] &+= count
                }
            }
        }
        return counters
    }

    /// The live entries of the application's flow table, the youngest first.
    public func flows(of application: AttachedApplication) throws(BPFError) -> [RecordedFlow] {
        guard let image = try publishedImage(), image.flowsOpen,
            let attachment: vne_attachment = try map(.attachment).handle.value(of: application.cgroupID)
        else { return [] }
        return Self.flows(of: attachment, floor: image.flowFloor, now: FlowClock.now)
    }

    /// Decodes a flow table.
    static func flows(of attachment: vne_attachment, floor: UInt32, now: UInt32) -> [RecordedFlow] {
        var flows: [RecordedFlow] = []
        unsafe withUnsafeBytes(of: attachment) { bytes in
            for index in 0..<Int(VNE_FLOW_SETS) * Int(VNE_FLOW_WAYS) {
                let remote = unsafe bytes.load(
                    fromByteOffset: FlowOffset.remotes + index * MemoryLayout<vne_address>.stride,
                    as: vne_address.self)
                let ports = unsafe bytes.load(fromByteOffset: FlowOffset.ports + index * 4, as: UInt32.self)
                let stamp = unsafe bytes.load(fromByteOffset: FlowOffset.stamps + index * 4, as: UInt32.self)
                let time = stamp & ~UInt32(VNE_FLOW_INCOMING)
                let age = now &- time
                guard let remote = IPAddress.present(remote), Int32(bitPattern: time &- floor) > 0,
                    age < UInt32(VNE_FLOW_TIMEOUT)
                else { continue }
                flows.append(
                    RecordedFlow(
                        remote: remote, remotePort: UInt16(truncatingIfNeeded: ports >> 16),
                        localPort: UInt16(truncatingIfNeeded: ports),
                        incoming: stamp & UInt32(VNE_FLOW_INCOMING) != 0, idle: FlowClock.milliseconds(of: age)))
            }
        }
        return flows.sorted { ($0.idle, $0.remote, $0.remotePort) < ($1.idle, $1.remote, $1.remotePort) }
    }

    /// A hook of an application, as it is on its cgroup.
    public struct AttachedHook: Hashable, Sendable {
        /// The hook.
        public var hook: CgroupHook
        /// The program's id, as `bpftool prog` shows it.
        public var programID: UInt32
    }

    /// The instance's hooks on an application's cgroup, of whatever build; none if the cgroup is gone.
    public func attachedHooks(of application: AttachedApplication) throws(BPFError) -> [AttachedHook] {
        guard let cgroup = try openCgroup(application.cgroupID) else { return [] }
        let own = try ownPrograms()
        var hooks: [AttachedHook] = []
        for hook in CgroupHook.allCases {
            for id in try own.attached(at: hook, to: cgroup.rawValue) {
                hooks.append(AttachedHook(hook: hook, programID: id))
            }
        }
        return hooks
    }
}

/// The clock of flow stamps: coarse monotonic nanoseconds, shifted right by `VNE_FLOW_CLOCK_SHIFT`.
enum FlowClock {
    /// The C function is `clock_gettime`; the programs' is `bpf_ktime_get_coarse_ns`.
    static var now: UInt32 {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_MONOTONIC_COARSE, &time)
        let nanoseconds = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        return UInt32(truncatingIfNeeded: nanoseconds >> UInt64(VNE_FLOW_CLOCK_SHIFT))
    }

    static func milliseconds(of ticks: UInt32) -> UInt32 {
        UInt32(UInt64(ticks) << UInt64(VNE_FLOW_CLOCK_SHIFT) / 1_000_000)
    }
}
