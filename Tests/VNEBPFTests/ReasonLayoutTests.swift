import PolicyModel
import Testing
import VNEPrograms

@testable import VNEBPF

@Suite struct ReasonLayoutTests {
    @Test func `every number of the kernel half is a reason`() {
        for number in 0..<UInt32(VNE_REASONS) {
            #expect(Reason(layout: number).map { UInt32($0.layout.rawValue) } == number)
        }
        #expect(Reason.allCases.count == Int(VNE_REASONS))
        #expect(Reason(layout: UInt32(VNE_REASONS)) == nil)
    }

    @Test(arguments: Reason.allCases)
    func `both halves say the same of what denies and of what audit lifts`(reason: Reason) {
        let number = Int(reason.layout.rawValue)
        #expect(reason.allows == (number < Int(VNE_REASON_FIRST_DENIAL)))
        #expect(reason.isReachability == (number >= Int(VNE_REASON_FIRST_REACHABILITY)))
    }
}
