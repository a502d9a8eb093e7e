internal import Dispatch
internal import VNEHost

/// Does something that waits on a thread of its own, where it holds up nobody else.
func waiting<Result: Sendable>(
    _ body: @escaping @Sendable () throws(HostError) -> Result
) async throws(ManagerError) -> Result {
    let result: Swift.Result<Result, HostError> = await withCheckedContinuation { continuation in
        DispatchQueue.global().async {
            do throws(HostError) {
                continuation.resume(returning: .success(try body()))
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }
    }
    do throws(HostError) {
        return try result.get()
    } catch {
        throw ManagerError(.failed, "\(error)")
    }
}
