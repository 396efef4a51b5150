import Testing

@testable import FUSE

@Suite struct SpinPolicyTests {
    @Test func keepsOnWhileItPays() {
        var policy = SpinPolicy()
        for index in 0..<10_000 {
            let spins = policy.shouldSpin()
            #expect(spins)
            // Three of four are found.
            policy.note(found: index % 4 != 0)
        }
    }

    @Test func stopsAndTriesAgainLessAndLess() {
        var policy = SpinPolicy()
        var gaps: [Int] = []
        var gap = 0
        for _ in 0..<20_000 {
            if policy.shouldSpin() {
                if gap > 0 { gaps.append(gap) }
                gap = 0
                policy.note(found: false)
            } else {
                gap += 1
            }
        }
        #expect(gaps.prefix(6) == [32, 64, 128, 256, 512, 1024])
        #expect(gaps.dropFirst(6).allSatisfy { $0 == 1024 })
    }

    @Test func comesBackWhenItPaysAgain() {
        var policy = SpinPolicy()
        while policy.shouldSpin() { policy.note(found: false) }
        var spins = 0
        for _ in 0..<2000 where policy.shouldSpin() {
            spins += 1
            policy.note(found: true)
        }
        #expect(spins > 1900)
    }
}
