internal import Glibc
internal import VNEHost

/// Does something that waits on a thread of its own, where it holds up nobody else.
func waiting<Result: Sendable>(
    _ body: @escaping @Sendable () throws(HostError) -> Result
) async throws(ManagerError) -> Result {
    let result: Swift.Result<Result, HostError>? = await withCheckedContinuation { continuation in
        let isBegun = Work {
            do throws(HostError) {
                continuation.resume(returning: .success(try body()))
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }.begin()
        if !isBegun { continuation.resume(returning: nil) }
    }
    guard let result else { throw ManagerError(.failed, "cannot begin a thread") }
    do throws(HostError) {
        return try result.get()
    } catch {
        throw ManagerError(.failed, "\(error)")
    }
}

/// What a thread does, once.
private final class Work: Sendable {
    private let body: @Sendable () -> Void

    init(_ body: @escaping @Sendable () -> Void) {
        self.body = body
    }

    /// Begins the thread; false if there can be none.
    func begin() -> Bool {
        let own = unsafe Unmanaged.passRetained(self)
        var thread = pthread_t()
        let result = unsafe pthread_create(
            &thread, nil,
            { pointer in
                if let pointer = unsafe pointer {
                    unsafe Unmanaged<Work>.fromOpaque(pointer).takeRetainedValue().body()
                }
                return nil
            }, own.toOpaque())
        guard result == 0 else {
            unsafe own.release()
            return false
        }
        pthread_detach(thread)
        return true
    }
}
