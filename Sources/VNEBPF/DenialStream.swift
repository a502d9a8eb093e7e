internal import CLibBPF
internal import Glibc
public import PolicyModel
internal import VNEPrograms

/// The consumer of an instance's ring buffer of denials. There is one at a time; it does not hold the instance's lock.
@safe public struct DenialStream: ~Copyable {
    private let ring: OpaquePointer
    private let received: Received
    /// Tells the ring buffer from that of an instance which is loaded later.
    public let id: UInt32
    private let lock: Descriptor

    /// Where libbpf's callback puts what it reads.
    private final class Received {
        var denials: [Denial] = []
    }

    /// Opens the ring buffer. The C function is `ring_buffer__new`.
    /// - Parameters:
    ///   - id: that of the map.
    ///   - lock: the lock that keeps others from reading.
    init(_ map: borrowing BPFMap, id: UInt32, lock: consuming Descriptor) throws(BPFError) {
        LibBPFLog.silence()
        let received = Received()
        let context = unsafe Unmanaged.passUnretained(received).toOpaque()
        let ring = unsafe ring_buffer__new(
            map.descriptor.rawValue,
            { context, data, size in
                guard let context = unsafe context, let data = unsafe data, size >= MemoryLayout<vne_event>.size else {
                    return 0
                }
                let event = unsafe data.loadUnaligned(as: vne_event.self)
                if let denial = Denial(event) {
                    unsafe Unmanaged<Received>.fromOpaque(context).takeUnretainedValue().denials.append(denial)
                }
                return 0
            }, context, nil)
        guard let ring = unsafe ring else { throw .failed(.readDenials, code: errno) }
        unsafe self.ring = unsafe ring
        self.received = received
        self.id = id
        self.lock = lock
    }

    deinit {
        unsafe ring_buffer__free(ring)
    }

    /// Readable while denials wait. The C function is `ring_buffer__epoll_fd`.
    public var descriptor: Int32 { unsafe ring_buffer__epoll_fd(ring) }

    /// Waits for denials and hands over what is there; says how many those were. An interrupting signal ends the wait
    /// with none. The C function is `ring_buffer__poll`.
    /// - Parameter milliseconds: how long to wait if there is none; 0 not at all, negative without end.
    @discardableResult
    public mutating func poll(milliseconds: Int32, _ body: (Denial) -> Void) throws(BPFError) -> Int {
        let result = unsafe ring_buffer__poll(ring, milliseconds)
        let denials = received.denials
        received.denials = []
        denials.forEach(body)
        guard result >= 0 || -result == EINTR else { throw .failed(.readDenials, code: -result) }
        return denials.count
    }
}

extension Instance {
    /// What ``DenialStream/id`` is of the instance's ring buffer.
    public func denialStreamID() throws(BPFError) -> UInt32 { try map(.denials).handle.information().id }

    /// Opens the ring buffer of denials. It may outlive this value and its lock.
    ///
    /// A ring buffer has one consumer, and what that has read is gone: so there is one reader at a time.
    /// - Throws: ``BPFError/denialsBusy(instance:process:)`` if another command has it open.
    public func denialStream() throws(BPFError) -> DenialStream {
        let lock = try BPFFileSystem.openDirectory(directory.maps)
        do {
            try BPFFileSystem.lock(lock, LOCK_EX | LOCK_NB, path: directory.maps)
        } catch {
            guard error.code == EWOULDBLOCK else { throw error }
            throw .denialsBusy(instance: name, process: BPFFileSystem.locker(of: lock))
        }
        return try DenialStream(try map(.denials).handle, id: try denialStreamID(), lock: lock)
    }

    /// Hands over the denials that wait in the ring buffer, and forgets them; says how many those were.
    @discardableResult
    public func denials(_ body: (Denial) -> Void) throws(BPFError) -> Int {
        var stream = try denialStream()
        return try stream.poll(milliseconds: 0, body)
    }
}

extension Denial {
    /// The denial of an event; nil for a hook or a reason that this version does not know.
    init?(_ event: vne_event) {
        guard let hook = Hook(rawValue: event.hook), let reason = Reason(layout: event.reason) else { return nil }
        self.init(
            time: event.time, cgroupID: event.cgroup, hook: hook, reason: reason, audited: event.audited != 0,
            transport: event.protocol, remote: IPAddress.present(event.remote), remotePort: event.remote_port,
            local: IPAddress.present(event.local), localPort: event.local_port, process: event.process,
            command: FixedText.string(of: event.command))
    }
}
