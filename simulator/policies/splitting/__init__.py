"""How prompts and decoding split the units of the devices that they share."""

from simulator.policies.splitting.feedback import Feedback
from simulator.policies.splitting.fixed import Fixed
from simulator.policies.splitting.proactive import Proactive
from simulator.policies.splitting.views import Attained, DeviceView, SplitPolicy, StepSeconds

__all__ = ["Attained", "DeviceView", "Feedback", "Fixed", "Proactive", "SplitPolicy", "StepSeconds"]
