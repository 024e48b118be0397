from orderfleet.domain.contract import CARRIER_REFUSED
from orderfleet.domain.orders import OrderState
from tests.workflow.actions import during, fail
from tests.workflow.fleet import running_fleet


async def test_a_worker_that_forgets_everything_comes_to_the_same_end() -> None:
    """Each task replays the whole history, as when a worker dies between any two tasks."""
    async with running_fleet(cached_workflows=0) as fleet:
        case = fleet.order()
        case.script("validate", during(lambda: case.send_address("2 Other Street")))
        case.script("charge", fail("boom"))
        case.script("carrier", fail("strike", CARRIER_REFUSED, permanent=True))
        await case.start()
        end = await case.end()
        assert end.result.state is OrderState.FULFILLED
        assert end.status.shipping_attempts == 2
        assert fleet.world.shipped(case.id) == ["2 Other Street"]
