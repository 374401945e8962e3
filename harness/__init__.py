"""What the demo, the tests and the distributed run need around Airflow. It is part of no distribution."""
